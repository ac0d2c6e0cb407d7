//! `osd pool get` and `osd pool set`.

use encoding::maps::{CrushMap, PgPool, pool_flags};
use serde_json::{Map, Value, json};

use super::{CommandResult, Context, osd_dump::autoscale_mode, pool::pool_arg};
use crate::mon::{
    format::Format,
    reply::{CommandError, Reply, einval, enoent},
};

/// Variables that are flags of the pool.
const FLAGS: [(&str, u64); 7] = [
    ("hashpspool", pool_flags::HASHPSPOOL),
    ("nodelete", pool_flags::NODELETE),
    ("nopgchange", pool_flags::NOPGCHANGE),
    ("nosizechange", pool_flags::NOSIZECHANGE),
    ("write_fadvise_dontneed", 1 << 7),
    ("noscrub", pool_flags::NOSCRUB),
    ("nodeep-scrub", pool_flags::NODEEP_SCRUB),
];

/// The variables that have a value, in the order in which `all` shows them.
const VARIABLES: [&str; 16] = [
    "size",
    "min_size",
    "pg_num",
    "pgp_num",
    "crush_rule",
    "hashpspool",
    "nodelete",
    "nopgchange",
    "nosizechange",
    "write_fadvise_dontneed",
    "noscrub",
    "nodeep-scrub",
    "use_gmt_hitset",
    "fast_read",
    "pg_autoscale_mode",
    "bulk",
];

fn variable(pool: &PgPool, name: &str) -> Option<Value> {
    if let Some((_, bit)) = FLAGS.iter().find(|(n, _)| *n == name) {
        return Some(json!(pool.flags & bit != 0));
    }
    Some(match name {
        "size" => pool.size.into(),
        "min_size" => pool.min_size.into(),
        "pg_num" => pool.pg_num.into(),
        "pgp_num" => pool.pgp_num.into(),
        "crush_rule" => CrushMap::REPLICATED_RULE.into(),
        "use_gmt_hitset" => pool.use_gmt_hitset.into(),
        "fast_read" => u8::from(pool.fast_read).into(),
        "pg_autoscale_mode" => autoscale_mode(pool).into(),
        "bulk" => (pool.flags & pool_flags::BULK != 0).into(),
        _ => return None,
    })
}

/// A value in plain text; one variable is shown there as a number where JSON has a truth value.
fn plain(name: &str, value: &Value) -> String {
    match value {
        Value::String(s) => format!("{name}: {s}\n"),
        Value::Bool(b) if name == "use_gmt_hitset" => format!("{name}: {}\n", u8::from(*b)),
        other => format!("{name}: {other}\n"),
    }
}

/// `osd pool get POOL VARIABLE|all`.
pub(super) fn get(ctx: &Context<'_>) -> CommandResult {
    let (map, id, name) = pool_arg(ctx, "pool")?;
    let pool = map.pools.get(&id).ok_or_else(|| enoent("unrecognized pool"))?;
    let var = ctx.args.need("var")?;
    let wanted: Vec<&str> = if var == "all" {
        VARIABLES.to_vec()
    } else {
        vec![var]
    };
    let mut values = Map::new();
    for name in wanted {
        let value = variable(pool, name).ok_or_else(|| unset(name, &map.pool_names, id))?;
        values.insert(name.to_owned(), value);
    }
    if ctx.format == Format::Plain {
        let text: String = values.iter().map(|(n, v)| plain(n, v)).collect();
        return Ok(Reply::data(text));
    }
    let mut out = Map::new();
    out.insert("pool".to_owned(), name.into());
    out.insert("pool_id".to_owned(), id.into());
    out.extend(values);
    Ok(Reply::value(ctx.format, "pool", &Value::Object(out)))
}

fn unset(var: &str, names: &std::collections::BTreeMap<i64, String>, id: i64) -> CommandError {
    let pool = names.get(&id).map_or("", String::as_str);
    enoent(format!("option '{var}' is not set on pool '{pool}'"))
}

fn truth(text: &str) -> Result<bool, CommandError> {
    match text {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(einval("expecting value 'true', 'false', '0', or '1'")),
    }
}

/// A change of a pool.
type Change = Box<dyn FnOnce(&mut PgPool)>;

fn flag_change(bit: u64, on: bool) -> Change {
    Box::new(move |pool| {
        pool.flags = if on { pool.flags | bit } else { pool.flags & !bit };
    })
}

/// What setting a variable does.
fn change_of(pool: &PgPool, var: &str, text: &str) -> Result<Change, CommandError> {
    let number = || {
        text.parse::<u32>()
            .map_err(|_| einval(format!("error parsing integer value '{text}'")))
    };
    if let Some((_, bit)) = FLAGS.iter().find(|(n, _)| *n == var) {
        if var == "hashpspool" {
            return Err(einval("hashpspool cannot be changed: data would move"));
        }
        return Ok(flag_change(*bit, truth(text)?));
    }
    match var {
        "bulk" => Ok(flag_change(pool_flags::BULK, truth(text)?)),
        "size" | "min_size" => {
            let n = u8::try_from(number()?).unwrap_or(0);
            if !(1..=10).contains(&n) {
                return Err(einval("pool size must be between 1 and 10"));
            }
            if var == "size" && pool.flags & pool_flags::NOSIZECHANGE != 0 {
                let text =
                    "pool size change is disabled; you must unset nosizechange flag for the pool first";
                return Err(CommandError::new(rustix::io::Errno::PERM, text));
            }
            if var == "min_size" && n > pool.size {
                return Err(einval(format!(
                    "pool min_size must be between 1 and size, which is set to {}",
                    pool.size
                )));
            }
            let is_size = var == "size";
            Ok(Box::new(move |pool| {
                if is_size {
                    pool.size = n;
                    pool.min_size = n - n / 2;
                } else {
                    pool.min_size = n;
                }
            }))
        }
        "crush_rule" if text == CrushMap::REPLICATED_RULE => Ok(Box::new(|_| {})),
        "crush_rule" => Err(enoent(format!("crush rule {text} does not exist"))),
        "pg_autoscale_mode" => match text {
            "off" => Ok(Box::new(|pool| pool.pg_autoscale_mode = 0)),
            "on" | "warn" => Err(unsupported("there is no autoscaler: the mode can only be off")),
            _ => Err(einval(format!("specified invalid mode {text}"))),
        },
        "pg_num" | "pgp_num" | "pg_num_min" | "pg_num_max" if number()? == pool.pg_num => {
            Ok(Box::new(|_| {}))
        }
        "pg_num" | "pgp_num" => Err(unsupported("the number of placement groups of a pool is fixed")),
        _ => Err(unsupported(&format!("pool variable '{var}' cannot be set"))),
    }
}

fn unsupported(text: &str) -> CommandError {
    CommandError::new(rustix::io::Errno::OPNOTSUPP, text)
}

/// `osd pool set POOL VARIABLE VALUE`.
pub(super) fn set(ctx: &Context<'_>) -> CommandResult {
    let (map, id, _) = pool_arg(ctx, "pool")?;
    let var = ctx.args.need("var")?;
    let value = match ctx.args.str("val") {
        Some(text) => text.to_owned(),
        None => ctx
            .args
            .int("val")?
            .ok_or_else(|| einval("missing required parameter val"))?
            .to_string(),
    };
    let pool = map.pools.get(&id).ok_or_else(|| enoent("unrecognized pool"))?;
    let change = change_of(pool, var, &value)?;
    ctx.cluster().change_pool(id, |pool| {
        change(pool);
        Ok(())
    })?;
    Ok(Reply::status(format!("set pool {id} {var} to {value}")))
}
