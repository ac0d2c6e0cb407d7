//! The program `rbdgate` itself: flags, files, signals, messages. These tests are of rbdgate alone and do nothing
//! when the target is Ceph.

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rbdgate_tests::cluster::{Cluster, against_ceph, temporary_folder};
use rbdgate_tests::exec::{Outcome, Program};
use rbdgate_tests::ports::Ports;
use rbdgate_tests::rbdgate::binary;
use rustix::process::Signal;

fn rbdgate(args: &[&str]) -> Program {
    Program::new(binary().unwrap())
        .args(args)
        .deadline(Duration::from_secs(20))
}

/// The arguments of a second server: its own data, any free ports.
fn any_ports(data: &str) -> Vec<&str> {
    let ports = [
        "--mon-v2",
        "127.0.0.1:0",
        "--mon-v1",
        "127.0.0.1:0",
        "--osd",
        "127.0.0.1:0",
    ];
    [&["serve", "--data", data], &ports[..], &["--http", "127.0.0.1:0"]].concat()
}

/// Runs a server that is expected to refuse: exit code not 0, and a message with each of `parts`.
#[track_caller]
fn refuses(program: Program, parts: &[&str]) -> Outcome {
    let outcome = program.run().unwrap();
    assert!(!outcome.status.success(), "{outcome}");
    for part in parts {
        assert!(
            outcome.errors().contains(part),
            "no {part:?} in the message\n{outcome}"
        );
    }
    outcome
}

#[test]
fn serve_writes_a_conf_and_a_key_for_its_owner_alone() {
    if against_ceph() {
        return;
    }
    let mut cluster = Cluster::start();
    let data = cluster.rbdgate().data().to_owned();
    let port = cluster.rbdgate().ports().mon_v2();
    let conf = std::fs::read_to_string(data.join("ceph.conf")).unwrap();
    let keyring = data.join("ceph.client.admin.keyring");
    assert!(
        conf.contains("mon_host") && conf.contains(&format!("v2:127.0.0.1:{port}")),
        "{conf}"
    );
    assert!(conf.contains(&keyring.display().to_string()), "{conf}");
    let mode = keyring.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let keyring = std::fs::read_to_string(keyring).unwrap();
    assert!(
        keyring.contains("[client.admin]") && keyring.contains("key = "),
        "{keyring}"
    );
    assert!(
        cluster
            .ceph(&["osd", "pool", "ls"])
            .lines()
            .contains(&"rbd".to_owned())
    );
}

#[test]
fn standard_output_is_the_ready_line_alone() {
    if against_ceph() {
        return;
    }
    // That the first line is the right one is checked by each start of a server.
    let mut cluster = Cluster::start();
    cluster.ceph(&["-s"]);
    assert!(cluster.rbdgate().further_output().is_empty());
}

#[test]
fn port_0_takes_free_ports_and_a_relative_data_folder_works_from_anywhere() {
    if against_ceph() {
        return;
    }
    use std::io::{BufRead, BufReader};
    let folder = temporary_folder().unwrap();
    let args = any_ports("relative");
    let mut child = rbdgate(&args).folder(folder.path()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped"))
        .read_line(&mut line)
        .unwrap();
    let check = std::panic::catch_unwind(|| {
        let conf = line
            .trim()
            .strip_prefix("rbdgate is ready: ceph -c ")
            .and_then(|rest| rest.strip_suffix(" -s"));
        let conf = folder.path().join(conf.expect("a ready line"));
        let text = std::fs::read_to_string(&conf).unwrap();
        assert!(
            !text.contains(":0\n") && !text.contains(":0,") && !text.contains(":0]"),
            "{text}"
        );
        let conf = conf.display().to_string();
        Program::new("ceph")
            .args(["-c", &conf, "health"])
            .folder(Path::new("/"))
            .run()
            .unwrap()
            .success()
            .unwrap();
    });
    child.kill().unwrap();
    child.wait().unwrap();
    if let Err(panic) = check {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    if against_ceph() {
        return;
    }
    let mut cluster = Cluster::start();
    let data = cluster.rbdgate().data().display().to_string();
    refuses(rbdgate(&any_ports(&data)), &[&data]);
    cluster.ceph(&["health"]);
}

#[test]
fn signals_end_the_server_with_exit_code_0() {
    if against_ceph() {
        return;
    }
    let mut cluster = Cluster::start();
    let fsid = cluster.ceph(&["fsid"]).text();
    cluster.rbd(&["create", "--size", "1G", "disk"]);
    for signal in [Signal::TERM, Signal::INT] {
        let (status, time) = cluster.rbdgate().stop(signal).unwrap();
        assert_eq!(
            status.code(),
            Some(0),
            "{signal:?}: {status}\n{}",
            cluster.log_tail()
        );
        assert!(time < Duration::from_secs(5), "{signal:?} took {time:?}");
        // The same cluster, with all of its images, on the next start.
        cluster.launch();
        assert_eq!(cluster.ceph(&["fsid"]).text(), fsid);
        assert_eq!(cluster.rbd(&["ls"]).lines(), ["disk"]);
    }
}

#[test]
fn sigterm_ends_the_server_while_clients_write() {
    if against_ceph() {
        return;
    }
    let mut cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "64M", "disk"]);
    let mut writer = cluster.python("verified_writer.py", &["disk"]).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let stopped = cluster.rbdgate().stop(Signal::TERM);
    writer.kill().unwrap();
    writer.wait().unwrap();
    let (status, time) = stopped.unwrap();
    assert_eq!(status.code(), Some(0), "{status}\n{}", cluster.log_tail());
    assert!(time < Duration::from_secs(5), "took {time:?}");
}

#[test]
fn a_start_takes_less_than_two_seconds() {
    if against_ceph() {
        return;
    }
    let mut cluster = Cluster::start();
    cluster.kill();
    let begun = Instant::now();
    cluster.launch();
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "took {:?}",
        begun.elapsed()
    );
}

#[test]
fn a_bad_flag_value_names_the_key_the_value_and_what_is_allowed() {
    if against_ceph() {
        return;
    }
    let folder = temporary_folder().unwrap();
    let data = folder.path().join("data").display().to_string();
    refuses(
        rbdgate(&["serve", "--data", &data, "--auth", "magic"]),
        &["auth", "magic", "cephx", "none"],
    );
    refuses(
        rbdgate(&["serve", "--data", &data, "--mon-v2", "nonsense"]),
        &["mon-v2", "nonsense"],
    );
    refuses(
        rbdgate(&["serve", "--data", &data, "--osd-count", "many"]),
        &["osd-count", "many"],
    );
    refuses(
        rbdgate(&["serve", "--data", &data, "--osd-count", "0"]),
        &["osd-count", "0"],
    );
}

#[test]
fn a_bad_value_in_the_environment_names_the_key_and_the_value() {
    if against_ceph() {
        return;
    }
    let folder = temporary_folder().unwrap();
    let data = folder.path().join("data").display().to_string();
    let program = rbdgate(&["serve", "--data", &data]).env("RBDGATE_AUTH", "magic");
    refuses(program, &["auth", "magic", "cephx", "none"]);
}

#[test]
fn a_bad_value_in_the_file_names_the_key_and_the_value() {
    if against_ceph() {
        return;
    }
    let folder = temporary_folder().unwrap();
    let file = folder.path().join("rbdgate.toml");
    let data = folder.path().join("data").display().to_string();
    let path = file.display().to_string();
    for (line, parts) in [
        ("auth = \"magic\"", &["auth", "magic", "cephx", "none"][..]),
        ("http = \"nonsense\"", &["http", "nonsense"]),
        ("no_such_key = 1", &["no_such_key"]),
    ] {
        std::fs::write(&file, format!("data = {data:?}\n{line}\n")).unwrap();
        refuses(rbdgate(&["serve", "--config", &path]), parts);
    }
    std::fs::remove_file(&file).unwrap();
    refuses(rbdgate(&["serve", "--config", &path]), &[&path]);
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    if against_ceph() {
        return;
    }
    let folder = temporary_folder().unwrap();
    let in_folder = |name: &str| folder.path().join(name).display().to_string();
    let (file, from_file, from_env, from_flag) = (
        in_folder("rbdgate.toml"),
        in_folder("file"),
        in_folder("env"),
        in_folder("flag"),
    );
    std::fs::write(&file, format!("data = {from_file:?}\n")).unwrap();
    let run = |extra: &[&str], env: Option<&str>| {
        let ports = any_ports("unused");
        // All but `--data unused`.
        let args = [&["serve", "--config", &file][..], &ports[3..], extra].concat();
        let mut program = rbdgate(&args);
        if let Some(data) = env {
            program = program.env("RBDGATE_DATA", data);
        }
        let mut child = program.spawn().unwrap();
        let mut line = String::new();
        use std::io::{BufRead, BufReader};
        let read = BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line);
        child.kill().unwrap();
        child.wait().unwrap();
        read.unwrap();
        line.trim().to_owned()
    };
    let ready = |data: &str| format!("rbdgate is ready: ceph -c {data}/ceph.conf -s");
    assert_eq!(run(&[], None), ready(&from_file));
    assert_eq!(run(&[], Some(&from_env)), ready(&from_env));
    assert_eq!(run(&["--data", &from_flag], Some(&from_env)), ready(&from_flag));
}

#[test]
fn a_port_in_use_is_named() {
    if against_ceph() {
        return;
    }
    let folder = temporary_folder().unwrap();
    let data = folder.path().join("data").display().to_string();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut args = any_ports(&data);
    args[4] = &address;
    refuses(rbdgate(&args), &[&address]);
}

#[test]
fn help_names_the_flags_with_their_defaults() {
    if against_ceph() {
        return;
    }
    let help = rbdgate(&["serve", "--help"])
        .run()
        .unwrap()
        .success()
        .unwrap()
        .text();
    for part in [
        "--config",
        "--data",
        "--mon-v2",
        "--mon-v1",
        "--osd",
        "--http",
        "--auth",
        "--osd-count",
        "--listen",
        "--log",
        "rbdgate-data",
        "127.0.0.1:3300",
        "127.0.0.1:6789",
        "127.0.0.1:6800",
        "127.0.0.1:9283",
        "cephx",
    ] {
        assert!(help.contains(part), "no {part:?} in\n{help}");
    }
}

/// A configuration file with ports that nobody uses as long as it lives.
struct Configuration {
    file: String,
    _ports: Ports,
}

impl Configuration {
    /// With the data in `folder`, and a further line.
    fn good(folder: &Path, line: &str) -> Self {
        let ports = Ports::take().unwrap();
        let file = folder.join("rbdgate.toml").display().to_string();
        let data = folder.join("data").display().to_string();
        let addresses = [
            ("mon-v2", ports.mon_v2()),
            ("mon-v1", ports.mon_v1()),
            ("http", ports.http()),
            ("osd", ports.osd()),
        ];
        let addresses = addresses
            .map(|(key, port)| format!("{key} = \"127.0.0.1:{port}\"\n"))
            .concat();
        let text = format!("data = {data:?}\n{addresses}{line}\n");
        std::fs::write(&file, text).unwrap();
        Self { file, _ports: ports }
    }

    /// `rbdgate check` of it.
    fn check(&self) -> Program {
        rbdgate(&["check", "--config", &self.file])
    }
}

#[test]
fn check_of_a_good_configuration_succeeds() {
    if against_ceph() {
        return;
    }
    let folder = temporary_folder().unwrap();
    let configuration = Configuration::good(folder.path(), "");
    configuration.check().run().unwrap().success().unwrap();
}

#[test]
fn check_tells_of_a_port_in_use() {
    if against_ceph() {
        return;
    }
    let folder = temporary_folder().unwrap();
    let configuration = Configuration::good(folder.path(), "");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let outcome = configuration
        .check()
        .env("RBDGATE_MON_V2", &address)
        .run()
        .unwrap();
    assert!(!outcome.status.success(), "{outcome}");
    let all = format!("{}\n{}", outcome.text(), outcome.errors());
    assert!(all.contains(&address), "{outcome}");
}

#[test]
fn check_looks_at_the_ports_of_further_listeners() {
    if against_ceph() {
        return;
    }
    let folder = temporary_folder().unwrap();
    let ports = Ports::take().unwrap();
    // Beside its monitor a listener has ports for the OSD and the manager, six in all.
    let listen = |port: u16| format!("listen = [\"127.0.0.1:{port},max-msgr=v1\"]");
    let told = |line: &str| {
        let outcome = Configuration::good(folder.path(), line).check().run().unwrap();
        (
            outcome.status.success(),
            format!("{}\n{}", outcome.text(), outcome.errors()),
        )
    };
    let (good, text) = told(&listen(ports.osd()));
    assert!(
        good && text.contains(&format!("127.0.0.1:{}", ports.osd() + 5)),
        "{text}"
    );
    let taken = TcpListener::bind(("127.0.0.1", ports.osd() + 3)).unwrap();
    let (good, text) = told(&listen(ports.osd()));
    assert!(!good && text.contains("osd.0 v1"), "{text}");
    drop(taken);
    let first = ports.osd();
    let both = format!("listen = [\"127.0.0.1:{first}\", \"127.0.0.1:{}\"]", first + 4);
    let (good, text) = told(&both);
    assert!(!good && text.contains("overlap"), "{text}");
    let (good, text) = told("listen = \"127.0.0.1:1,max-msgr=v9\"");
    assert!(
        !good && text.contains("listen") && text.contains("max-msgr=VERSION"),
        "{text}"
    );
}

#[test]
fn check_tells_of_a_data_path_that_is_a_file() {
    if against_ceph() {
        return;
    }
    let folder = temporary_folder().unwrap();
    let configuration = Configuration::good(folder.path(), "");
    let data = folder.path().join("data");
    std::fs::write(&data, "not a folder").unwrap();
    let outcome = configuration.check().run().unwrap();
    assert!(!outcome.status.success(), "{outcome}");
    let all = format!("{}\n{}", outcome.text(), outcome.errors());
    assert!(all.contains(&data.display().to_string()), "{outcome}");
}
