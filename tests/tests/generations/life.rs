//! What every client does: the life of an image, by way of `ceph`, `rados`, `rbd`, python3-rbd, QEMU and fio.

use std::path::PathBuf;
use std::time::Duration;

use rbdgate_tests::cluster::Cluster;
use rbdgate_tests::data;
use rbdgate_tests::exec::{Outcome, Program};
use rbdgate_tests::generations::{Generation, Mode};

type Lived = Result<(), String>;

/// One thing that a client does, independent of the others.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    run: fn(&Life<'_>) -> Lived,
}

/// All steps, in order. Each makes its images and removes them.
pub(crate) const STEPS: [Step; 9] = [
    Step {
        name: "status",
        what: "`ceph -s`, `ceph df`, `ceph osd pool ls`",
        run: |life| life.status(),
    },
    Step {
        name: "objects",
        what: "`rados put`, `get`, `stat`, `ls`, `rm`",
        run: |life| life.objects(),
    },
    Step {
        name: "image",
        what: "`rbd create`, `ls -l`, `info`, `resize` up and down, `rename`, `rm`",
        run: |life| life.image(),
    },
    Step {
        name: "content",
        what: "`rbd import` of 4 MiB, `export` and compare, `bench`, `du`",
        run: |life| life.content(),
    },
    Step {
        name: "metadata",
        what: "`rbd image-meta set`, `get`, `list`, `remove`",
        run: |life| life.metadata(),
    },
    Step {
        name: "locks",
        what: "`rbd lock add`, `ls`, `rm`; a second `add` is refused",
        run: |life| life.locks(),
    },
    Step {
        name: "exclusive lock",
        what: "python3-rbd: two clients pass the exclusive lock to and fro while both write",
        run: |life| life.exclusive_lock(),
    },
    Step {
        name: "qemu",
        what: "`qemu-img convert` to an image, `compare`",
        run: |life| life.qemu(),
    },
    Step {
        name: "fio",
        what: "`fio --ioengine=rbd`, random writes, verified",
        run: |life| life.fio(),
    },
];

/// A client of one generation in one mode.
pub(crate) struct Life<'a> {
    cluster: &'a Cluster,
    generation: &'a Generation,
    mode: Mode,
    conf: String,
}

fn holds(condition: bool, what: &str, seen: impl std::fmt::Display) -> Lived {
    if condition {
        return Ok(());
    }
    Err(format!("{what}\n{seen}"))
}

impl<'a> Life<'a> {
    /// Writes the client's ceph.conf.
    pub(crate) fn new(cluster: &'a Cluster, generation: &'a Generation, mode: Mode, v1: u16) -> Self {
        let server = std::fs::read_to_string(cluster.conf()).unwrap();
        let keyring = server
            .lines()
            .find_map(|line| line.split_once('=').filter(|(key, _)| key.trim() == "keyring"));
        let keyring = PathBuf::from(keyring.unwrap().1.trim());
        let keyring = keyring.strip_prefix(cluster.folder()).unwrap();
        let keyring = generation.seen(cluster.folder()).join(keyring);
        let conf = format!("{}.conf", mode.word());
        let _ = cluster.file(&conf, mode.conf(&server, &keyring, v1));
        Self {
            cluster,
            generation,
            mode,
            conf,
        }
    }
}

impl Life<'_> {
    /// Goes through all steps, and returns those that failed with what was seen.
    pub(crate) fn live(&self) -> Vec<(&'static str, String)> {
        let failed = |step: &Step| (step.run)(self).err().map(|why| (step.name, why));
        STEPS.iter().filter_map(failed).collect()
    }

    /// The name of this client's image.
    fn name(&self, what: &str) -> String {
        format!("{what}-{}", self.mode.word())
    }

    fn attempt(&self, program: Program) -> Result<Outcome, String> {
        let limit = Duration::from_secs(60);
        program.deadline(limit).run().map_err(|why| self.explain(&why))
    }

    fn run(&self, program: Program) -> Result<Outcome, String> {
        self.attempt(program)?.success().map_err(|why| self.explain(&why))
    }

    fn explain(&self, why: &dyn std::fmt::Display) -> String {
        format!("{why}\n{}", self.cluster.log_tail())
    }

    fn client(&self, program: &str, args: &[&str]) -> Program {
        let program = self.generation.program(self.cluster.folder(), program);
        program.args(["-c", &self.conf]).args(args)
    }

    fn ceph(&self, args: &[&str]) -> Result<Outcome, String> {
        self.run(self.client("ceph", args))
    }

    fn rados(&self, args: &[&str]) -> Result<Outcome, String> {
        self.run(self.client("rados", &["-p", "rbd"]).args(args))
    }

    fn rbd(&self, args: &[&str]) -> Result<Outcome, String> {
        self.run(self.client("rbd", args))
    }

    fn status(&self) -> Lived {
        let status = self.ceph(&["-s", "--format", "json"])?;
        // A machine whose disk is rather full is no concern of the client.
        let health = status.json()["health"].clone();
        let complaints = health["checks"].as_object().map(|checks| checks.keys());
        let only_disk = complaints.is_some_and(|mut names| names.all(|name| name == "OSD_NEARFULL"));
        holds(
            health["status"] == "HEALTH_OK" || only_disk,
            "not healthy",
            &status,
        )?;
        self.ceph(&["-s"])?;
        self.ceph(&["df"])?;
        let pools = self.ceph(&["osd", "pool", "ls"])?;
        holds(pools.lines().contains(&"rbd".to_owned()), "no pool rbd", &pools)
    }

    fn objects(&self) -> Lived {
        let (name, put, got) = (self.name("object"), self.name("put"), self.name("got"));
        let bytes = data::bytes(1, (5 << 20) + 123);
        let _ = self.cluster.file(&put, &bytes);
        self.rados(&["put", &name, &put])?;
        let stat = self.rados(&["stat", &name])?;
        let size = format!("size {}", bytes.len());
        holds(stat.text().ends_with(&size), "another size", &stat)?;
        self.rados(&["get", &name, &got])?;
        holds(
            self.cluster.read(&got) == bytes,
            "rados get has other bytes than put",
            "",
        )?;
        let list = self.rados(&["ls"])?;
        holds(list.lines().contains(&name), "not listed", &list)?;
        self.rados(&["rm", &name])?;
        let list = self.rados(&["ls"])?;
        holds(!list.lines().contains(&name), "listed after rm", &list)
    }

    fn image(&self) -> Lived {
        let (old, new) = (self.name("old"), self.name("new"));
        self.rbd(&["create", "--size", "1G", &old])?;
        let list = self.rbd(&["ls", "-l", "--format", "json"])?;
        let rows = list.json();
        let row = rows
            .as_array()
            .and_then(|rows| rows.iter().find(|row| row["image"] == old.as_str()));
        holds(
            row.is_some_and(|row| row["size"] == 1 << 30),
            "ls -l without the image",
            &list,
        )?;
        let info = self.rbd(&["info", &old, "--format", "json"])?;
        holds(info.json()["size"] == 1 << 30, "another size", &info)?;
        self.rbd(&["resize", "--no-progress", "--size", "2G", &old])?;
        self.rbd(&[
            "resize",
            "--no-progress",
            "--size",
            "512M",
            "--allow-shrink",
            &old,
        ])?;
        self.rbd(&["rename", &old, &new])?;
        let info = self.rbd(&["info", &new, "--format", "json"])?;
        holds(info.json()["size"] == 512 << 20, "another size", &info)?;
        self.rbd(&["rm", "--no-progress", &new])?;
        let list = self.rbd(&["ls"])?;
        holds(!list.lines().contains(&new), "listed after rm", &list)
    }

    fn content(&self) -> Lived {
        let (name, source, back) = (self.name("content"), self.name("source"), self.name("back"));
        let bytes = data::bytes(2, 4 << 20);
        let _ = self.cluster.file(&source, &bytes);
        self.rbd(&["import", "--no-progress", &source, &name])?;
        self.rbd(&["export", "--no-progress", &name, &back])?;
        holds(
            self.cluster.read(&back) == bytes,
            "the export differs from the import",
            "",
        )?;
        let load = ["--io-size", "4K", "--io-threads", "8", "--io-total", "2M"];
        for kind in ["write", "read"] {
            self.rbd(&[&["bench", "--io-type", kind][..], &load, &[&name]].concat())?;
        }
        let du = self.rbd(&["du", &name, "--format", "json"])?;
        holds(
            du.json()["images"][0]["used_size"] == 4 << 20,
            "du counts otherwise",
            &du,
        )?;
        self.rbd(&["rm", "--no-progress", &name])?;
        Ok(())
    }

    fn metadata(&self) -> Lived {
        let name = self.name("metadata");
        self.rbd(&["create", "--size", "64M", &name])?;
        self.rbd(&["image-meta", "set", &name, "owner", "me and you"])?;
        let value = self.rbd(&["image-meta", "get", &name, "owner"])?;
        holds(value.text() == "me and you", "another value", &value)?;
        let list = self.rbd(&["image-meta", "list", &name, "--format", "json"])?;
        holds(
            list.json() == serde_json::json!({"owner": "me and you"}),
            "another list",
            &list,
        )?;
        self.rbd(&["image-meta", "remove", &name, "owner"])?;
        self.rbd(&["rm", "--no-progress", &name])?;
        Ok(())
    }

    fn locks(&self) -> Lived {
        let name = self.name("locked");
        self.rbd(&["create", "--size", "64M", &name])?;
        self.rbd(&["lock", "add", &name, "mine"])?;
        let again = self.attempt(self.client("rbd", &["lock", "add", &name, "mine"]))?;
        holds(!again.status.success(), "locked twice", &again)?;
        let list = self.rbd(&["lock", "ls", &name, "--format", "json"])?;
        // A list, or in nautilus an object with the lock's id as the key.
        let locks = list.json();
        let locker = match &locks[0]["locker"] {
            serde_json::Value::Null => &locks["mine"]["locker"],
            locker => locker,
        };
        let locker = locker.as_str().unwrap_or_default().to_owned();
        holds(locker.starts_with("client."), "no locker", &list)?;
        self.rbd(&["lock", "rm", &name, "mine", &locker])?;
        self.rbd(&["rm", "--no-progress", &name])?;
        Ok(())
    }

    fn exclusive_lock(&self) -> Lived {
        let script = self.generation.python(self.cluster.folder(), "exclusive_lock.py");
        self.run(script.args([self.conf.as_str(), "pass"]))?;
        self.rbd(&["rm", "--no-progress", "disk"])?;
        Ok(())
    }

    fn qemu(&self) -> Lived {
        let (name, raw) = (self.name("qemu"), self.name("raw"));
        let mut bytes = vec![0; 16 << 20];
        bytes[3 << 20..6 << 20].copy_from_slice(&data::bytes(3, 3 << 20));
        let _ = self.cluster.file(&raw, &bytes);
        let image = format!("rbd:rbd/{name}:conf={}", self.conf);
        let qemu = |args: &[&str]| {
            let program = self.generation.program(self.cluster.folder(), "qemu-img");
            self.run(program.args(args))
        };
        qemu(&["convert", "-f", "raw", "-O", "raw", &raw, &image])?;
        qemu(&["compare", "-f", "raw", "-F", "raw", &raw, &image])?;
        self.rbd(&["rm", "--no-progress", &name])?;
        Ok(())
    }

    fn fio(&self) -> Lived {
        let (name, load) = (self.name("fio"), ["--bs=4k", "--size=2M", "--iodepth=8"]);
        self.rbd(&["create", "--size", "64M", &name])?;
        let program = self.generation.program(self.cluster.folder(), "fio");
        let program = program
            .args(["--name=fio", "--ioengine=rbd", "--clientname=admin", "--pool=rbd"])
            .args([format!("--rbdname={name}")])
            .args(["--rw=randwrite", "--verify=crc32c", "--verify_fatal=1"])
            .args(load)
            .env("CEPH_CONF", self.conf.as_str());
        self.run(program)?;
        self.rbd(&["rm", "--no-progress", &name])?;
        Ok(())
    }
}
