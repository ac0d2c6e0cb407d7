//! Enums whose unknown values survive. What prost makes of an enum reads as its first value, which is mostly success, where it is unknown;
//! so enums are taken out of the descriptors, their fields become `int32`, which is the same on the wire, and the
//! crate's macro `wire_enum` is called with what they were.

use std::collections::BTreeMap;

use prost_types::{FileDescriptorSet, SourceCodeInfo, field_descriptor_proto::Type};

use crate::{camel_case, documentation};

/// Numbers of fields in descriptors, of which paths to comments consist.
const FILE_ENUM: i32 = 5;
const ENUM_VALUE: i32 = 2;

/// An enum of a proto file.
struct Enum {
    name: String,
    comment: String,
    /// Name, number, comment.
    values: Vec<(String, i32, String)>,
}

/// All enums.
pub(crate) struct Enums {
    by_package: BTreeMap<String, Vec<Enum>>,
    /// Fields that were of an enum, and of which.
    pub(crate) fields: Vec<(String, String)>,
}

/// Takes all enums out of descriptors.
pub(crate) fn take(descriptors: &mut FileDescriptorSet) -> Enums {
    let mut by_package = BTreeMap::<String, Vec<Enum>>::new();
    let mut fields = Vec::new();
    for file in &mut descriptors.file {
        let comments = file.source_code_info.clone().unwrap_or_default();
        let of_package = by_package
            .entry(file.package.clone().unwrap_or_default())
            .or_default();
        for (at, described) in (0..).zip(file.enum_type.drain(..)) {
            let name = described.name.unwrap_or_default();
            let values = (0..).zip(described.value).map(|(value_at, value)| {
                let comment = comment(&comments, &[FILE_ENUM, at, ENUM_VALUE, value_at]);
                let full = value.name.unwrap_or_default();
                let camel = camel_case(&full);
                let short = camel.strip_prefix(&name).unwrap_or(&camel).to_owned();
                (short, value.number.unwrap_or(0), comment)
            });
            of_package.push(Enum {
                values: values.collect(),
                comment: comment(&comments, &[FILE_ENUM, at]),
                name,
            });
        }
        for message in &mut file.message_type {
            let package = file.package.as_deref().unwrap_or_default();
            let of = message.name.as_deref().unwrap_or_default();
            for field in &mut message.field {
                if field.r#type() != Type::Enum {
                    continue;
                }
                field.set_type(Type::Int32);
                let name = field.type_name.take().unwrap_or_default();
                let name = name.rsplit('.').next().unwrap_or_default();
                fields.push((format!(".{package}.{of}.{}", field.name()), name.to_owned()));
            }
        }
    }
    Enums { by_package, fields }
}

fn comment(comments: &SourceCodeInfo, path: &[i32]) -> String {
    let mut places = comments.location.iter();
    let place = places.find(|place| place.path == path);
    place.map_or_else(String::new, |place| place.leading_comments().to_owned())
}

impl Enums {
    /// Writes the enums of a package.
    pub(crate) fn generate(&self, package: &str, code: &mut String) {
        for described in self.by_package.get(package).into_iter().flatten() {
            code.push_str("wire_enum! {\n");
            documentation(&described.comment, "    ", code);
            code.push_str(&format!("    {} {{\n", described.name));
            for (name, number, comment) in &described.values {
                documentation(comment, "        ", code);
                code.push_str(&format!("        {name} = {number},\n"));
            }
            code.push_str("    }\n}\n");
        }
    }
}
