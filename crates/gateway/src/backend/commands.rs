//! `rbdgate map`, `adopt`, `release` and `meta`: on the running server where that is sound, else on the data folder.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::{Arg, ArgAction, ArgMatches, Command};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use super::{
    CurveDevices,
    images::{self, Image, ImageError, Vectors},
};
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
    rados::Rados,
};

type Outcome = Result<ExitCode, Box<dyn std::error::Error>>;

/// How long a copy of the metadata may take.
const BACKUP_DEADLINE: Duration = Duration::from_secs(3600);
/// How long an image may take to become a plain volume: zeros are written to it.
const HAND_OVER_DEADLINE: Duration = Duration::from_secs(3600);
/// How long another command may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// What a running server answers.
pub struct ServerCommands {
    osd: Arc<Osd>,
    cluster: Arc<Cluster>,
    devices: Option<CurveDevices>,
    /// Held while an image is adopted or released: no two may have one volume.
    handing_over: Mutex<()>,
}

impl ServerCommands {
    /// For this server.
    #[must_use]
    pub fn new(osd: Arc<Osd>, cluster: Arc<Cluster>, devices: Option<CurveDevices>) -> Self {
        Self {
            osd,
            cluster,
            devices,
            handing_over: Mutex::default(),
        }
    }

    fn place(&self) -> Images<'_> {
        Images {
            objects: self.osd.objects(),
            devices: self.devices.as_ref(),
        }
    }

    /// Pool and name of an image, and a client that works on it.
    fn client<'a>(&self, name: &'a str) -> Result<(i64, &'a str, Arc<Rados>), String> {
        let (pool, image) = split(name)?;
        let pool = pool_id(&self.cluster.osdmap().pool_names, pool)?;
        let client = Rados::connect(&self.cluster, &self.osd);
        Ok((pool, image, client.map_err(|error| error.to_string())?))
    }

    fn adopt(&self, volume: &str, owner: Option<&str>, name: &str) -> Result<Value, String> {
        let _alone = self.handing_over.lock();
        let (pool, image, client) = self.client(name)?;
        let size = self.place().adopt(&client, volume, owner, pool, image)?;
        Ok(json!({"size": size}))
    }

    fn release(&self, name: &str) -> Result<Value, String> {
        let _alone = self.handing_over.lock();
        let (pool, image, client) = self.client(name)?;
        let text = |error: ImageError| error.to_string();
        let objects = self.osd.objects();
        let found = Image::find(objects, pool, image).map_err(text)?;
        // Looked at again once nobody can reach it.
        let released = self
            .osd
            .take_image(&found.id, || match Image::find(objects, pool, image)? {
                now if now.id == found.id => images::release(objects, &now, image),
                _ => Err(ImageError::NoImage(image.to_owned())),
            });
        let place = released
            .map_err(|in_use| format!("{image}: {in_use}"))?
            .map_err(text)?;
        images::forget_name(objects, &client, &found, image).map_err(text)?;
        Ok(self.place().described(Some(place), None))
    }
}

impl MoreCommands for ServerCommands {
    fn run(&self, prefix: &str, arguments: &Map<String, Value>) -> Option<Result<Value, String>> {
        let text = |key: &str| {
            let value = arguments.get(key).and_then(Value::as_str);
            value.ok_or_else(|| format!("{prefix}: {key} is missing"))
        };
        match prefix {
            "image map" => Some(
                text("image").and_then(|image| self.place().map(&self.cluster.osdmap().pool_names, image)),
            ),
            "image adopt" => Some(text("volume").and_then(|volume| {
                let owner = arguments.get("owner").and_then(Value::as_str);
                let image = text("image")?;
                tokio::task::block_in_place(|| self.adopt(volume, owner, image))
            })),
            "image release" => {
                Some(text("image").and_then(|image| tokio::task::block_in_place(|| self.release(image))))
            }
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

/// The images of a store, and where they lie.
#[derive(Clone, Copy)]
struct Images<'a> {
    objects: &'a Objects,
    devices: Option<&'a CurveDevices>,
}

impl Images<'_> {
    /// What is told of an image's place.
    fn described(&self, place: Option<String>, creator: Option<String>) -> Value {
        let (volume, owner) = match (place, self.devices) {
            (Some(place), Some(devices)) => {
                let (path, owner) = devices.described(&place);
                (Some(path), Some(owner))
            }
            (place, _) => (place, None),
        };
        json!({"volume": volume, "owner": owner, "creator": creator})
    }

    fn map(&self, pools: &BTreeMap<i64, String>, name: &str) -> Result<Value, String> {
        let (pool, image) = split(name)?;
        let text = |error: ImageError| error.to_string();
        let found = Image::find(self.objects, pool_id(pools, pool)?, image).map_err(text)?;
        let place = found.place(self.objects).map_err(|error| error.to_string())?;
        Ok(self.described(place, found.creator))
    }

    /// Makes a volume an image, and returns its size in bytes.
    fn adopt(
        &self,
        vectors: &impl Vectors,
        volume: &str,
        owner: Option<&str>,
        pool: i64,
        image: &str,
    ) -> Result<u64, String> {
        let devices = self
            .devices
            .ok_or("only with [backend.curve] in the configuration")?;
        let looked = devices.look(volume, owner);
        let (size, place) = looked.map_err(|error| format!("{volume}: {error}"))?;
        let adopted = images::adopt(self.objects, vectors, pool, image, &place, size);
        adopted.map_err(|error| error.to_string())?;
        Ok(size)
    }
}

/// The subcommands, before they get the arguments that all have.
#[must_use]
pub fn commands() -> Vec<Command> {
    let image = || Arg::new("image").value_name("POOL/IMAGE").required(true);
    let volume = Arg::new("volume").value_name("/DIR/VOLUME").required(true);
    let owner = Arg::new("owner")
        .long("owner")
        .value_name("OWNER")
        .help("Whose the volume is, if not the gateway's own; the root owner sees that for himself");
    let json = Arg::new("json")
        .long("json")
        .action(ArgAction::SetTrue)
        .help("Print JSON: the volume, its owner, and who created the image");
    let file = || {
        Arg::new("file")
            .value_name("FILE")
            .required(true)
            .value_parser(clap::value_parser!(PathBuf))
    };
    vec![
        Command::new("map")
            .about("Print the volume that holds an image's data")
            .arg(image())
            .arg(json),
        Command::new("adopt")
            .about("Make a CurveBS volume an image, without copying")
            .arg(volume)
            .arg(image())
            .arg(owner),
        Command::new("release")
            .about("Make an image that nobody has open a plain CurveBS volume again")
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
        "map" => run_map(settings, &text("image"), args.get_flag("json")),
        "adopt" => {
            let owner = args.get_one::<String>("owner").map(String::as_str);
            run_adopt(settings, &text("volume"), owner, &text("image"))
        }
        "release" => run_release(settings, &text("image")),
        "meta-backup" => run_backup(settings, &file()),
        _ => run_restore(settings, &file()),
    }
}

fn run_map(settings: &Settings, image: &str, as_json: bool) -> Outcome {
    let found = if open::is_in_use(&settings.data) {
        let request = json!({"prefix": "image map", "image": image});
        ask_with(&socket::path(&settings.data), request, DEADLINE)?
    } else {
        let alone = Alone::open(settings)?;
        alone.images().map(&alone.pools, image)?
    };
    if as_json {
        println!("{found:#}");
        return Ok(ExitCode::SUCCESS);
    }
    match found.get("volume").and_then(Value::as_str) {
        Some(volume) => println!("{volume}"),
        None => {
            return Err(format!("{image}: nothing was ever written to it, so it has no volume yet").into());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn run_adopt(settings: &Settings, volume: &str, owner: Option<&str>, name: &str) -> Outcome {
    let size = if open::is_in_use(&settings.data) {
        let mut request = json!({"prefix": "image adopt", "volume": volume, "image": name});
        if let Some(owner) = owner {
            request["owner"] = owner.into();
        }
        let answer = ask_with(&socket::path(&settings.data), request, HAND_OVER_DEADLINE)?;
        answer.get("size").and_then(Value::as_u64).unwrap_or(0)
    } else {
        let alone = Alone::open(settings)?;
        let (pool, image) = split(name)?;
        let pool = pool_id(&alone.pools, pool)?;
        let size = alone.images().adopt(&alone.objects, volume, owner, pool, image)?;
        alone.close()?;
        size
    };
    println!("{volume} is {name} now, {} GiB", size >> 30);
    Ok(ExitCode::SUCCESS)
}

fn run_release(settings: &Settings, name: &str) -> Outcome {
    let released = if open::is_in_use(&settings.data) {
        let request = json!({"prefix": "image release", "image": name});
        ask_with(&socket::path(&settings.data), request, HAND_OVER_DEADLINE)?
    } else {
        let alone = Alone::open(settings)?;
        let (pool, image) = split(name)?;
        let pool = pool_id(&alone.pools, pool)?;
        let found = Image::find(&alone.objects, pool, image)?;
        let place = images::release(&alone.objects, &found, image)?;
        images::forget_name(&alone.objects, &alone.objects, &found, image)?;
        let released = alone.images().described(Some(place), None);
        alone.close()?;
        released
    };
    let text = |key: &str| released.get(key).and_then(Value::as_str).unwrap_or_default();
    println!(
        "{name} is the plain volume {} of {} now",
        text("volume"),
        text("owner")
    );
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
    devices: Option<CurveDevices>,
}

impl Alone {
    fn images(&self) -> Images<'_> {
        Images {
            objects: &self.objects,
            devices: self.devices.as_ref(),
        }
    }

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
