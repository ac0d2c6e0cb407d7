//! `osd pool get` and `osd pool set`.

use encoding::maps::{OsdMap, PgPool, pool_flags};
use rustix::io::Errno;
use serde_json::{Map, Value, json};

use super::{CommandResult, Context, osd_dump::autoscale_mode, pool::pool_arg};
use crate::{
    cluster::erasure_code::ErasureCode,
    mon::{
        format::Format,
        reply::{CommandError, Reply, einval, enoent},
    },
};

/// Variables that are flags of the pool.
const FLAGS: [(&str, u64); 8] = [
    ("hashpspool", pool_flags::HASHPSPOOL),
    ("allow_ec_overwrites", pool_flags::EC_OVERWRITES),
    ("nodelete", pool_flags::NODELETE),
    ("nopgchange", pool_flags::NOPGCHANGE),
    ("nosizechange", pool_flags::NOSIZECHANGE),
    ("write_fadvise_dontneed", 1 << 7),
    ("noscrub", pool_flags::NOSCRUB),
    ("nodeep-scrub", pool_flags::NODEEP_SCRUB),
];

/// The variables that have a value, in the order in which `all` shows them.
const VARIABLES: [&str; 18] = [
    "size",
    "min_size",
    "pg_num",
    "pgp_num",
    "crush_rule",
    "hashpspool",
    "allow_ec_overwrites",
    "nodelete",
    "nopgchange",
    "nosizechange",
    "write_fadvise_dontneed",
    "noscrub",
    "nodeep-scrub",
    "use_gmt_hitset",
    "erasure_code_profile",
    "fast_read",
    "pg_autoscale_mode",
    "bulk",
];

/// Variables that only erasure-coded pools have.
const OF_ERASURE: [&str; 2] = ["allow_ec_overwrites", "erasure_code_profile"];

fn variable(map: &OsdMap, pool: &PgPool, name: &str) -> Option<Value> {
    if let Some((_, bit)) = FLAGS.iter().find(|(n, _)| *n == name) {
        return Some(json!(pool.flags & bit != 0));
    }
    Some(match name {
        "size" => pool.size.into(),
        "min_size" => pool.min_size.into(),
        "pg_num" => pool.pg_num.into(),
        "pgp_num" => pool.pgp_num.into(),
        "crush_rule" => match map.crush.rule_names.get(&pool.crush_rule.into()) {
            Some(name) => name.as_str().into(),
            None => pool.crush_rule.to_string().into(),
        },
        "erasure_code_profile" => pool.erasure_code_profile.as_str().into(),
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
    let is_there = |name: &&str| pool.is_erasure() || !OF_ERASURE.contains(name);
    let wanted: Vec<&str> = match var {
        "all" => VARIABLES.into_iter().filter(is_there).collect(),
        var if !is_there(&var) => {
            let text = format!("pool '{name}' is not a erasure pool: variable not applicable");
            return Err(CommandError::new(Errno::ACCESS, text));
        }
        var => vec![var],
    };
    let mut values = Map::new();
    for name in wanted {
        let value = variable(&map, pool, name).ok_or_else(|| unset(name, &map.pool_names, id))?;
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
fn change_of(map: &OsdMap, pool: &PgPool, var: &str, text: &str) -> Result<Change, CommandError> {
    let number = || {
        text.parse::<u32>()
            .map_err(|_| einval(format!("error parsing integer value '{text}'")))
    };
    if let Some((_, bit)) = FLAGS.iter().find(|(n, _)| *n == var) {
        if var == "hashpspool" {
            return Err(einval("hashpspool cannot be changed: data would move"));
        }
        let on = truth_of(pool, var, text)?;
        return Ok(flag_change(*bit, on));
    }
    match var {
        "bulk" => Ok(flag_change(pool_flags::BULK, truth(text)?)),
        "size" if pool.is_erasure() => Err(unsupported("can not change the size of an erasure-coded pool")),
        "min_size" if pool.is_erasure() => {
            let n = u8::try_from(number()?).unwrap_or(0);
            let least = data_chunks(map, pool)?;
            if !(least..=pool.size).contains(&n) {
                return Err(einval(format!(
                    "pool min_size must be between {least} and size, which is set to {}",
                    pool.size
                )));
            }
            Ok(Box::new(move |pool| pool.min_size = n))
        }
        "size" | "min_size" => {
            let n = u8::try_from(number()?).unwrap_or(0);
            if !(1..=10).contains(&n) {
                return Err(einval("pool size must be between 1 and 10"));
            }
            if var == "size" && pool.flags & pool_flags::NOSIZECHANGE != 0 {
                let text =
                    "pool size change is disabled; you must unset nosizechange flag for the pool first";
                return Err(CommandError::new(Errno::PERM, text));
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
        "crush_rule" => {
            let id = map.crush.rule_id(text);
            let id = id.ok_or_else(|| enoent(format!("crush rule {text} does not exist")))?;
            let rule = map.crush.rules.get(usize::from(id)).and_then(Option::as_ref);
            if rule.is_none_or(|rule| rule.kind != pool.kind) {
                return Err(einval("(22) Invalid argument"));
            }
            Ok(Box::new(move |pool| pool.crush_rule = id))
        }
        "fast_read" if pool.is_erasure() => {
            let on = truth(text)?;
            Ok(Box::new(move |pool| pool.fast_read = on))
        }
        "fast_read" => Err(einval("fast read is not supported in replication pool")),
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

/// Chunks with data of an erasure-coded pool's stripes.
fn data_chunks(map: &OsdMap, pool: &PgPool) -> Result<u8, CommandError> {
    let profile = map.erasure_code_profiles.get(&pool.erasure_code_profile);
    let code = ErasureCode::of(&mut profile.cloned().unwrap_or_default())?;
    Ok(code.data)
}

/// The value of a flag. Overwrites can only be switched on, and only where they mean something.
fn truth_of(pool: &PgPool, var: &str, text: &str) -> Result<bool, CommandError> {
    if var == "allow_ec_overwrites" && !pool.is_erasure() {
        return Err(einval(
            "ec overwrites can only be enabled for an erasure coded pool",
        ));
    }
    let on = truth(text)?;
    if var == "allow_ec_overwrites" && !on {
        return Err(einval("ec overwrites cannot be disabled once enabled"));
    }
    Ok(on)
}

fn unsupported(text: &str) -> CommandError {
    CommandError::new(Errno::OPNOTSUPP, text)
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
    let change = change_of(&map, pool, var, &value)?;
    ctx.cluster().change_pool(id, |pool| {
        change(pool);
        Ok(())
    })?;
    Ok(Reply::status(format!("set pool {id} {var} to {value}")))
}
