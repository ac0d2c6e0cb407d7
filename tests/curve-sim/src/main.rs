//! A simulated CurveBS cluster as a process:
//!
//! ```text
//! curve-sim [--mds PORT[,PORT...]] [--chunkservers PORT,PORT,PORT] [--directory DIRECTORY] [--block-size BYTES] [--young SECONDS]
//! ```
//!
//! Prints one line with the addresses of the MDS when it serves, and runs until it is interrupted or killed. Commands may come line by
//! line on standard input ([`curve_sim::control`]); each is answered by a line: `ok`, or `error` with what is wrong.

use std::{collections::HashMap, process::ExitCode, time::Duration};

use curve_sim::{Sim, SimConfig, control};
use tokio::io::{AsyncBufReadExt, BufReader};

const USAGE: &str = "usage: curve-sim [--mds PORT[,PORT...]] [--chunkservers PORT[,PORT...]] [--directory DIRECTORY] \
                     [--block-size BYTES] [--young SECONDS] [--min-length BYTES]";

fn ports(list: &str) -> Result<Vec<u16>, String> {
    let parse = |port: &str| port.parse::<u16>().map_err(|error| format!("{port}: {error}"));
    list.split(',').map(parse).collect()
}

fn number<T: std::str::FromStr<Err = std::num::ParseIntError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{text}: {error}"))
}

fn config(arguments: &[String]) -> Result<SimConfig, String> {
    let mut config = SimConfig::default();
    let mut given = HashMap::new();
    for pair in arguments.chunks(2) {
        let [name, value] = pair else {
            return Err(USAGE.into());
        };
        given.insert(name.as_str(), value.as_str());
    }
    for (name, value) in given {
        match name {
            "--mds" => config.mds_ports = ports(value)?,
            "--chunkservers" => config.chunkserver_ports = ports(value)?,
            "--directory" => config.directory = Some(value.into()),
            "--block-size" => config.block_size = number(value)?,
            "--young" => config.young = Duration::from_secs(number(value)?),
            "--min-length" => config.min_file_length = number(value)?,
            _ => return Err(USAGE.into()),
        }
    }
    Ok(config)
}

/// Obeys commands as long as there are any.
async fn obey(sim: &Sim) {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match sim.obey(&line).await {
            Ok(answer) => println!("{}", format!("ok {answer}").trim_end()),
            Err(error) => println!("error {error}"),
        }
    }
    std::future::pending::<()>().await;
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let config = match config(&arguments) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}\n\nCommands on standard input:\n{}", control::HELP);
            return ExitCode::from(2);
        }
    };
    let sim = match Sim::start(config).await {
        Ok(sim) => sim,
        Err(error) => {
            eprintln!("curve-sim: {error}");
            return ExitCode::FAILURE;
        }
    };
    let addresses: Vec<String> = sim.mds_addresses().iter().map(ToString::to_string).collect();
    println!("serving, MDS {}", addresses.join(","));
    let interrupted = tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        () = obey(&sim) => Ok(()),
    };
    // Not by a return: a thread may wait for standard input for ever.
    std::process::exit(match interrupted {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("curve-sim: {error}");
            1
        }
    })
}
