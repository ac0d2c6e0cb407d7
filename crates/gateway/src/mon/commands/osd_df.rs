//! `osd df`: what each OSD holds, as a list or as the CRUSH tree (`OSDUtilizationDumper` in Ceph `src/osd/OSDMap.cc`).
//!
//! All OSDs are faces of one backend: each shows its equal part.

use std::collections::BTreeSet;

use encoding::maps::{CrushMap, OsdMap};
use serde_json::{Value, json};

use super::{
    CommandResult, Context,
    crush::class_of,
    df::ratio,
    osd_dump::weight,
    osd_tree::{Item, items, name_of, type_of},
};
use crate::mon::{
    format::{Column, bytes, float, table},
    reply::{CommandError, Reply, einval},
    show::{osds, pg_count},
};

/// Space in KiB, and placement groups.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    kb: u64,
    used: u64,
    avail: u64,
}

impl Part {
    const fn times(self, n: u64) -> Self {
        Self {
            kb: self.kb * n,
            used: self.used * n,
            avail: self.avail * n,
        }
    }

    fn percent(self) -> f64 {
        ratio(self.used, self.kb) * 100.0
    }
}

/// What is to be shown.
struct Shown<'a> {
    map: &'a OsdMap,
    /// What one OSD holds.
    part: Part,
    groups: u64,
    items: Vec<Item>,
    /// The OSDs among them.
    osds: BTreeSet<i32>,
}

/// All that is below an item, and the item itself.
fn below(crush: &CrushMap, id: i32, out: &mut BTreeSet<i32>) {
    if out.insert(id)
        && let Some(bucket) = crush.bucket(id)
    {
        for child in &bucket.items {
            below(crush, *child, out);
        }
    }
}

/// Whether the command's filter (a pool, a node of the tree, or a class of devices) lets an item be shown.
fn filter(ctx: &Context<'_>, map: &OsdMap) -> Result<Box<dyn Fn(i32) -> bool>, CommandError> {
    let Some(name) = ctx.args.str("filter").filter(|name| !name.is_empty()) else {
        return Ok(Box::new(|_| true));
    };
    let crush = &map.crush;
    if let Some(id) = crush.names.iter().find(|(_, n)| *n == name).map(|(id, _)| *id) {
        let mut wanted = BTreeSet::new();
        below(crush, id, &mut wanted);
        return Ok(Box::new(move |id| wanted.contains(&id)));
    }
    if crush.class_names.values().any(|class| class == name) {
        let of_class: BTreeSet<i32> = crush
            .device_classes
            .keys()
            .copied()
            .filter(|id| class_of(crush, *id) == Some(name))
            .collect();
        return Ok(Box::new(move |id| id < 0 || of_class.contains(&id)));
    }
    match map.pool_by_name(name) {
        // All pools are on all OSDs.
        Some(_) => Ok(Box::new(|_| true)),
        None => Err(einval(format!(
            "'{name}' not a pool, crush node or device class name"
        ))),
    }
}

fn shown<'a>(ctx: &Context<'_>, map: &'a OsdMap, tree: bool) -> Result<Shown<'a>, CommandError> {
    let space = ctx.cluster().stats().space();
    let n = osds(map).count().max(1) as u64;
    let wanted = filter(ctx, map)?;
    let mut items = items(&map.crush);
    items.retain(|item| wanted(item.id) && (tree || item.id >= 0));
    let osds = items.iter().map(|i| i.id).filter(|id| *id >= 0).collect();
    Ok(Shown {
        map,
        part: Part {
            kb: space.total / n / 1024,
            used: space.used / n / 1024,
            avail: space.avail / n / 1024,
        },
        groups: pg_count(map) / n,
        items,
        osds,
    })
}

impl Shown<'_> {
    /// What is in an OSD, or in all that are below a node.
    fn part_of(&self, id: i32) -> Part {
        let mut all = BTreeSet::new();
        below(&self.map.crush, id, &mut all);
        self.part.times(all.intersection(&self.osds).count() as u64)
    }

    fn status(&self, id: i32) -> &'static str {
        if self.map.is_up(id) { "up" } else { "down" }
    }

    fn node(&self, item: &Item) -> Value {
        let (crush, part) = (&self.map.crush, self.part_of(item.id));
        let (type_id, kind) = type_of(crush, item.id);
        let mut out = serde_json::Map::new();
        let mut put = |name: &str, value: Value| drop(out.insert(name.to_owned(), value));
        put("id", item.id.into());
        if item.id >= 0 {
            put(
                "device_class",
                class_of(crush, item.id).unwrap_or_default().into(),
            );
        }
        put("name", name_of(crush, item.id).into());
        put("type", kind.into());
        put("type_id", type_id.into());
        if item.id >= 0 {
            put("crush_weight", float(item.weight));
            put("depth", item.depth.into());
        }
        if item.depth > 0 {
            put("pool_weights", json!({}));
        }
        let index = usize::try_from(item.id).ok();
        put(
            "reweight",
            index.map_or_else(|| json!(-1), |i| weight(self.map, i)),
        );
        for (name, value) in [
            ("kb", part.kb),
            ("kb_used", part.used),
            ("kb_used_data", part.used),
            ("kb_used_omap", 0),
            ("kb_used_meta", 0),
            ("kb_avail", part.avail),
        ] {
            put(name, value.into());
        }
        put("utilization", float(part.percent()));
        put("var", 1.into());
        put("pgs", (if item.id < 0 { 0 } else { self.groups }).into());
        match crush.bucket(item.id) {
            None => put("status", self.status(item.id).into()),
            Some(bucket) => {
                let children: Vec<i32> = bucket.items.iter().rev().copied().collect();
                put("children", json!(children));
            }
        }
        Value::Object(out)
    }

    fn row(&self, item: &Item, tree: bool) -> Vec<String> {
        let (crush, part) = (&self.map.crush, self.part_of(item.id));
        let is_osd = item.id >= 0;
        let reweight = usize::try_from(item.id)
            .ok()
            .and_then(|i| weight(self.map, i).as_f64());
        let mut row = vec![
            item.id.to_string(),
            class_of(crush, item.id).unwrap_or_default().to_owned(),
            format!("{:.5}", item.weight),
            reweight.map_or_else(|| "-".to_owned(), |v| format!("{v:.5}")),
        ];
        row.extend(amounts(part));
        row.push(low_precision(part.percent()));
        row.push("1.00".to_owned());
        row.push(if is_osd {
            self.groups.to_string()
        } else {
            "-".to_owned()
        });
        row.push(if is_osd {
            self.status(item.id).to_owned()
        } else {
            String::new()
        });
        if tree {
            let (indent, name) = ("    ".repeat(item.depth), name_of(crush, item.id));
            row.push(match is_osd {
                true => format!("{indent}{name}"),
                false => format!("{indent}{} {name}", type_of(crush, item.id).1),
            });
        }
        row
    }

    fn total(&self) -> Part {
        self.part.times(self.osds.len() as u64)
    }

    fn text(&self, tree: bool) -> String {
        let heads = [
            "ID", "CLASS", "WEIGHT", "REWEIGHT", "SIZE", "RAW USE", "DATA", "OMAP", "META", "AVAIL", "%USE",
            "VAR", "PGS", "STATUS",
        ];
        let mut columns: Vec<Column> = heads.map(Column::Right).into();
        columns.extend(tree.then_some(Column::Left("TYPE NAME")));
        let mut rows: Vec<Vec<String>> = self.items.iter().map(|item| self.row(item, tree)).collect();
        let mut total = vec![String::new(), String::new(), String::new(), "TOTAL".to_owned()];
        total.extend(amounts(self.total()));
        total.push(low_precision(self.total().percent()));
        total.resize(columns.len(), String::new());
        rows.push(total);
        table(&columns, &rows) + "MIN/MAX VAR: 1.00/1.00  STDDEV: 0\n"
    }
}

fn amounts(part: Part) -> [String; 6] {
    let kib = |k: u64| bytes(k * 1024);
    [
        kib(part.kb),
        kib(part.used),
        kib(part.used),
        bytes(0),
        bytes(0),
        kib(part.avail),
    ]
}

/// Two decimals, where there is something to show.
fn low_precision(v: f64) -> String {
    if v < 0.001 {
        "0".to_owned()
    } else {
        format!("{v:.2}")
    }
}

/// `osd df [plain|tree] [class|name] [FILTER]`.
pub(super) fn osd_df(ctx: &Context<'_>) -> CommandResult {
    let map = ctx.cluster().osdmap();
    let tree = ctx.args.str("output_method") == Some("tree");
    let shown = shown(ctx, &map, tree)?;
    let total = shown.total();
    let value = json!({
        "nodes": shown.items.iter().map(|item| shown.node(item)).collect::<Vec<_>>(),
        "stray": [],
        "summary": {
            "total_kb": total.kb, "total_kb_used": total.used, "total_kb_used_data": total.used,
            "total_kb_used_omap": 0, "total_kb_used_meta": 0, "total_kb_avail": total.avail,
            "average_utilization": float(total.percent()), "min_var": 1, "max_var": 1, "dev": 0,
        },
    });
    Ok(Reply::either(ctx.format, "df", &value, || shown.text(tree)))
}
