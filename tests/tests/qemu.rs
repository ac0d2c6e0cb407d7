//! QEMU's rbd block driver.

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

use rbdgate_tests::cluster::Cluster;
use rbdgate_tests::data;
use rbdgate_tests::exec::Program;

fn qemu_img(args: &[&str]) -> Program {
    Program::new("qemu-img").args(args)
}

/// `qemu-io` on a raw image, one command after the other.
fn qemu_io(image: &str, commands: &[&str]) -> Program {
    let commands = commands.iter().flat_map(|&command| ["-c", command]);
    Program::new("qemu-io")
        .args(["-f", "raw"])
        .args(commands)
        .args([image])
}

#[test]
fn convert_to_rbd_and_back_is_equal() {
    let cluster = Cluster::start();
    let raw = cluster.file("raw", {
        let mut bytes = vec![0; 48 << 20];
        bytes[1 << 20..17 << 20].copy_from_slice(&data::bytes(1, 16 << 20));
        bytes[(30 << 20) + 512..(31 << 20) + 1024].copy_from_slice(&data::bytes(2, (1 << 20) + 512));
        bytes
    });
    let (first, second, image) = (
        cluster.path("first"),
        cluster.path("second"),
        cluster.qemu("disk"),
    );
    cluster.run(qemu_img(&["convert", "-f", "raw", "-O", "qcow2", &raw, &first]));
    cluster.run(qemu_img(&["convert", "-f", "qcow2", "-O", "raw", &first, &image]));
    cluster.run(qemu_img(&["compare", "-f", "qcow2", "-F", "raw", &first, &image]));
    cluster.run(qemu_img(&[
        "convert", "-f", "raw", "-O", "qcow2", &image, &second,
    ]));
    cluster.run(qemu_img(&[
        "compare", "-f", "qcow2", "-F", "qcow2", &first, &second,
    ]));
}

#[test]
fn create_info_and_resize() {
    let cluster = Cluster::start();
    let image = cluster.qemu("disk");
    cluster.run(qemu_img(&["create", "-f", "raw", &image, "1G"]));
    let info = cluster
        .run(qemu_img(&["info", "-f", "raw", "--output", "json", &image]))
        .json();
    assert_eq!(info["virtual-size"], 1 << 30);
    cluster.run(qemu_img(&["resize", "-f", "raw", &image, "2G"]));
    assert_eq!(
        cluster.rbd(&["info", "disk", "--format", "json"]).json()["size"],
        2u64 << 30
    );
}

#[test]
fn unaligned_sectors_read_back() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "64M", "disk"]);
    let image = cluster.qemu("disk");
    // Inside a 4 KiB block, across blocks, across two objects, and the last sector of the image.
    let spans = [
        (0x11, 512, 512),
        (0x22, 3584, 1024),
        (0x33, (4 << 20) - 1536, 2560),
        (0x44, (64 << 20) - 512, 512),
    ];
    for (pattern, offset, len) in spans {
        cluster.run(qemu_io(&image, &[&format!("write -P {pattern} {offset} {len}")]));
    }
    for (pattern, offset, len) in spans {
        let read = cluster.run(qemu_io(&image, &[&format!("read -P {pattern} {offset} {len}")]));
        assert!(!read.text().contains("verification failed"), "{read}");
    }
    // The neighbours are untouched.
    for (offset, len) in [(0, 512), (1024, 2560), (4608, 1024), ((4 << 20) + 1024, 512)] {
        let read = cluster.run(qemu_io(&image, &[&format!("read -P 0 {offset} {len}")]));
        assert!(!read.text().contains("verification failed"), "{read}");
    }
}

#[test]
fn written_sectors_are_in_the_export() {
    let cluster = Cluster::start();
    let mut expected = vec![0; 16 << 20];
    let source = cluster.file("source", &expected);
    cluster.rbd(&["import", "--no-progress", &source, "disk"]);
    let mut random = data::Random::new(3);
    let mut commands = Vec::new();
    for _ in 0..60 {
        let len = 512 * usize::try_from(1 + random.below(40)).unwrap();
        let offset = 512 * usize::try_from(random.below((16 << 11) - 40)).unwrap();
        let pattern = u8::try_from(1 + random.below(250)).unwrap();
        expected[offset..offset + len].fill(pattern);
        commands.push(format!("write -P {pattern} {offset} {len}"));
    }
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    cluster.run(qemu_io(&cluster.qemu("disk"), &commands));
    cluster.rbd(&["export", "--no-progress", "disk", &cluster.path("back")]);
    assert!(
        cluster.read("back") == expected,
        "the export differs from what was written"
    );
}

#[test]
fn discard_and_write_zeroes_read_as_zero() {
    let cluster = Cluster::start();
    let source = cluster.file("source", vec![0xee; 24 << 20]);
    cluster.rbd(&["import", "--no-progress", &source, "disk"]);
    let image = cluster.qemu("disk");
    // A part of an object, a whole one, and across two.
    cluster.run(qemu_io(
        &image,
        &["discard 64k 128k", "discard 4M 4M", "write -z 11M 2M", "flush"],
    ));
    let reads = [
        "read -P 0 64k 128k",
        "read -P 0 4M 4M",
        "read -P 0 11M 2M",
        "read -P 0xee 0 64k",
    ];
    let more = [
        "read -P 0xee 192k 3904k",
        "read -P 0xee 8M 3M",
        "read -P 0xee 13M 11M",
    ];
    let read = cluster.run(qemu_io(&image, &[&reads[..], &more[..]].concat()));
    assert!(!read.text().contains("verification failed"), "{read}");
}
