//! The names of services and methods, and which messages belong to a method.

use std::collections::{BTreeMap, BTreeSet};

use prost_build::{Method, Service};
use prost_types::{FileDescriptorSet, field_descriptor_proto::Label};

use crate::{documentation, snake_case};

/// Writes what the crate knows of services.
pub(crate) struct Generator {
    /// For each message the numbers of its required fields.
    required: BTreeMap<String, Vec<i32>>,
    /// For each message the name of its field 1 if that says how the call went.
    statuses: BTreeMap<String, String>,
    /// How many methods have a request.
    uses: BTreeMap<String, usize>,
    /// Requests of several methods that are done,
    shared: BTreeSet<String>,
    /// and replies.
    replies: BTreeSet<String>,
}

impl Generator {
    /// Learns what services do not tell of their messages.
    pub(crate) fn new(descriptors: &FileDescriptorSet) -> Self {
        let (mut required, mut statuses, mut uses) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for file in &descriptors.file {
            for message in &file.message_type {
                let name = format!(".{}.{}", file.package(), message.name());
                let fields = message.field.iter();
                let insisted = fields.clone().filter(|field| field.label() == Label::Required);
                required.insert(name.clone(), insisted.map(|field| field.number()).collect());
                let mut status =
                    fields.filter(|field| field.number() == 1 && field.name().starts_with("status"));
                if let Some(field) = status.next() {
                    statuses.insert(name, field.name().to_owned());
                }
            }
            for method in file.service.iter().flat_map(|service| &service.method) {
                *uses.entry(method.input_type().to_owned()).or_default() += 1;
            }
        }
        Self {
            required,
            statuses,
            uses,
            shared: BTreeSet::new(),
            replies: BTreeSet::new(),
        }
    }

    /// Writes a module with the names of a service and its methods, and what is said of their messages.
    pub(crate) fn generate(&mut self, service: &Service, code: &mut String) {
        let module = snake_case(&service.proto_name);
        documentation(&service.comments.leading.join("\n"), "", code);
        code.push_str(&format!(
            "pub mod {module} {{\n    /// The service's full name.\n"
        ));
        code.push_str(&format!(
            "    pub const NAME: &str = \"{}.{}\";\n",
            service.package, service.proto_name
        ));
        for method in &service.methods {
            documentation(&method.comments.leading.join("\n"), "    ", code);
            let (constant, name) = (constant(method), &method.proto_name);
            code.push_str(&format!("    pub const {constant}: &str = \"{name}\";\n"));
        }
        code.push_str("}\n");
        for method in &service.methods {
            self.messages(&module, method, code);
        }
    }

    fn messages(&mut self, module: &str, method: &Method, code: &mut String) {
        let required = &self.required[&method.input_proto_type];
        let (request, reply) = (&method.input_type, &method.output_type);
        if self.uses[&method.input_proto_type] == 1 {
            code.push_str(&format!(
                "impl crate::proto::Request for {request} {{\n\
                 \x20   const SERVICE: &'static str = {module}::NAME;\n\
                 \x20   const METHOD: &'static str = {module}::{};\n\
                 \x20   const REQUIRED: &'static [u32] = &{required:?};\n\
                 \x20   type Reply = {reply};\n}}\n",
                constant(method)
            ));
        } else if self.shared.insert(method.input_proto_type.clone()) {
            code.push_str(&format!(
                "impl {request} {{\n\
                 \x20   /// The numbers of the fields which a server insists on.\n\
                 \x20   pub const REQUIRED: &'static [u32] = &{required:?};\n}}\n"
            ));
        }
        if self.replies.insert(method.output_proto_type.clone()) {
            let status = match self.statuses.get(&method.output_proto_type) {
                Some(field) => format!("self.{field}"),
                None => "Some(0)".to_owned(),
            };
            code.push_str(&format!(
                "impl crate::proto::Reply for {reply} {{\n\
                 \x20   fn status(&self) -> Option<i32> {{\n        {status}\n    }}\n}}\n"
            ));
        }
    }
}

fn constant(method: &Method) -> String {
    snake_case(&method.proto_name).to_uppercase()
}
