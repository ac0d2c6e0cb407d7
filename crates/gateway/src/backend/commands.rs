//! `rbdgate map`, `adopt`, `release` and `meta`: on the running server where that is sound, else on the data folder.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::{Arg, ArgMatches, Command};
use serde_json::{Map, Value, json};

use super::images::{self, Image};
use crate::{
    admin::{
        ask::ask_with,
        socket::{self, MoreCommands},
    },
    cluster::{Cluster, stored_pool_names},
    config::Settings,
    objects::Objects,
    open,
    osd::Osd,
};

type Outcome = Result<ExitCode, Box<dyn std::error::Error>>;

/// How long a copy of the metadata may take.
const BACKUP_DEADLINE: Duration = Duration::from_secs(3600);
/// How long another command may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// What a running server answers.
pub struct ServerCommands {
    osd: Arc<Osd>,
    cluster: Arc<Cluster>,
}

impl ServerCommands {
    /// For this server.
    #[must_use]
    pub fn new(osd: Arc<Osd>, cluster: Arc<Cluster>) -> Self {
        Self { osd, cluster }
    }
}

impl MoreCommands for ServerCommands {
    fn run(&self, prefix: &str, arguments: &Map<String, Value>) -> Option<Result<Value, String>> {
        let text = |key: &str| {
            let value = arguments.get(key).and_then(Value::as_str);
            value.ok_or_else(|| format!("{prefix}: {key} is missing"))
        };
        match prefix {
            "image map" => Some(text("image").and_then(|image| {
                let place = map(self.osd.objects(), &self.cluster.osdmap().pool_names, image)?;
                Ok(json!({"volume": place}))
            })),
            "meta backup" => Some(text("file").and_then(|file| {
                let store = self.osd.objects().store();
                let copied = tokio::task::block_in_place(|| store.backup(Path::new(file)));
                Ok(json!({"transaction": copied.map_err(|error| error.to_string())?}))
            })),
            _ => None,
        }
    }
}

/// Pool and image of `POOL/IMAGE`.
fn split(name: &str) -> Result<(&str, &str), String> {
    match name.split_once('/') {
        Some((pool, image)) if !pool.is_empty() && !image.is_empty() && !image.contains(['/', '@']) => {
            Ok((pool, image))
        }
        _ => Err(format!("{name}: POOL/IMAGE is expected")),
    }
}

fn pool_id(pools: &BTreeMap<i64, String>, name: &str) -> Result<i64, String> {
    let found = pools.iter().find(|(_, known)| *known == name);
    found
        .map(|(id, _)| *id)
        .ok_or_else(|| format!("no pool is called {name}"))
}

fn map(objects: &Objects, pools: &BTreeMap<i64, String>, name: &str) -> Result<Option<String>, String> {
    let (pool, image) = split(name)?;
    let found = Image::find(objects, pool_id(pools, pool)?, image).map_err(|error| error.to_string())?;
    found.place(objects).map_err(|error| error.to_string())
}

/// The subcommands, before they get the arguments that all have.
#[must_use]
pub fn commands() -> Vec<Command> {
    let image = || Arg::new("image").value_name("POOL/IMAGE").required(true);
    let volume = Arg::new("volume").value_name("/DIR/VOLUME").required(true);
    let file = || {
        Arg::new("file")
            .value_name("FILE")
            .required(true)
            .value_parser(clap::value_parser!(PathBuf))
    };
    vec![
        Command::new("map")
            .about("Print the volume that holds an image's data")
            .arg(image()),
        Command::new("adopt")
            .about("Make a CurveBS volume an image, without copying; the server must not run")
            .arg(volume)
            .arg(image()),
        Command::new("release")
            .about("Make an image a plain CurveBS volume again; the server must not run")
            .arg(image()),
        Command::new("meta-backup")
            .about("Copy the running server's metadata to a file on its host")
            .arg(file()),
        Command::new("meta-restore")
            .about("Make a data folder of a copy of the metadata; there must be none yet")
            .arg(file()),
    ]
}

/// Runs a subcommand.
///
/// # Errors
/// In words for people.
pub fn run(command: &str, args: &ArgMatches, settings: &Settings) -> Outcome {
    let text = |key: &str| args.get_one::<String>(key).cloned().unwrap_or_default();
    let file = || args.get_one::<PathBuf>("file").cloned().unwrap_or_default();
    match command {
        "map" => run_map(settings, &text("image")),
        "adopt" => run_adopt(settings, &text("volume"), &text("image")),
        "release" => run_release(settings, &text("image")),
        "meta-backup" => run_backup(settings, &file()),
        _ => run_restore(settings, &file()),
    }
}

fn run_map(settings: &Settings, image: &str) -> Outcome {
    let place = if open::is_in_use(&settings.data) {
        let request = json!({"prefix": "image map", "image": image});
        let answer = ask_with(&socket::path(&settings.data), request, DEADLINE)?;
        answer.get("volume").and_then(Value::as_str).map(str::to_owned)
    } else {
        let alone = Alone::open(settings)?;
        map(&alone.objects, &alone.pools, image)?
    };
    match place {
        Some(place) => println!("{place}"),
        None => {
            return Err(format!("{image}: nothing was ever written to it, so it has no volume yet").into());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn run_adopt(settings: &Settings, volume: &str, name: &str) -> Outcome {
    let alone = Alone::open(settings)?;
    let Some(devices) = &alone.devices else {
        return Err("only with [backend.curve] in the configuration".into());
    };
    let (pool, image) = split(name)?;
    let pool = pool_id(&alone.pools, pool)?;
    let size = devices
        .look(volume)
        .map_err(|error| format!("{volume}: {error}"))?;
    images::adopt(&alone.objects, pool, image, volume, size)?;
    alone.close()?;
    println!("{volume} is {name} now, {} GiB", size >> 30);
    Ok(ExitCode::SUCCESS)
}

fn run_release(settings: &Settings, name: &str) -> Outcome {
    let alone = Alone::open(settings)?;
    let (pool, image) = split(name)?;
    let pool = pool_id(&alone.pools, pool)?;
    let place = images::release(&alone.objects, pool, image)?;
    alone.close()?;
    println!("{name} is the plain volume {place} now");
    Ok(ExitCode::SUCCESS)
}

fn run_backup(settings: &Settings, file: &Path) -> Outcome {
    let file = std::path::absolute(file)?;
    let request = json!({"prefix": "meta backup", "file": file.display().to_string()});
    let at = socket::path(&settings.data);
    ask_with(&at, request, BACKUP_DEADLINE)
        .map_err(|error| format!("{}: {error}; the server must run", at.display()))?;
    println!("metadata copied to {}", file.display());
    Ok(ExitCode::SUCCESS)
}

fn run_restore(settings: &Settings, file: &Path) -> Outcome {
    store::restore(file, &open::store_dir(&settings.data))?;
    println!(
        "{} holds the metadata of {} now",
        settings.data.display(),
        file.display()
    );
    Ok(ExitCode::SUCCESS)
}

/// The data folder, opened without a server.
struct Alone {
    objects: Objects,
    pools: BTreeMap<i64, String>,
    devices: Option<super::CurveDevices>,
}

impl Alone {
    fn open(settings: &Settings) -> Result<Self, Box<dyn std::error::Error>> {
        let devices = open::connect_backend(settings)?;
        let store = open::open_store(&settings.data, settings, devices.as_ref())?;
        let pools = stored_pool_names(&store)?;
        let objects = Objects::open(store)?;
        Ok(Self {
            objects,
            pools,
            devices,
        })
    }

    fn close(self) -> Result<(), store::StoreError> {
        self.objects.store().close()
    }
}
