//! Commands to a running simulator, one a line, so that tests in other processes make trouble too.

use std::{fmt::Display, str::FromStr, time::Duration};

use crate::{
    faults::{Action, Fault},
    sim::Sim,
};

/// All commands.
pub const HELP: &str = "\
kill-chunkserver ID | start-chunkserver ID
kill-mds | start-mds INDEX | fail-over-mds
move-leaders MS                       all of them; for so long there is none
shuffle-leaders N                     one in N, at random
copyset PATH OFFSET                   which one holds a volume's byte
owner PATH                            whose a file is
hold COPYSET | let-go COPYSET         no leader, and none is elected
fault METHOD PROBABILITY ACTION       METHOD is a part of Service/Method, or *
next METHOD ACTION                    the same, once
shift-clock SECONDS                   the MDS's clock ahead of the machine's, or behind
clear                                 no more faults; how many struck so far
violations                            what no client must do
ACTION: delay MS | status N | rpc-error N | lose-reply | lose-request | close-before | close-after | late MS";

type Outcome<T> = Result<T, String>;

/// The words of a command.
struct Words<'a>(std::str::SplitAsciiWhitespace<'a>);

impl<'a> Words<'a> {
    fn text(&mut self, what: &str) -> Outcome<&'a str> {
        self.0.next().ok_or_else(|| format!("{what} is missing"))
    }

    fn number<T: FromStr<Err: Display>>(&mut self, what: &str) -> Outcome<T> {
        let text = self.text(what)?;
        text.parse().map_err(|error| format!("{what} {text}: {error}"))
    }

    fn milliseconds(&mut self) -> Outcome<Duration> {
        self.number("milliseconds").map(Duration::from_millis)
    }

    fn method(&mut self) -> Outcome<&'a str> {
        let method = self.text("method")?;
        Ok(if method == "*" { "" } else { method })
    }

    fn probability(&mut self) -> Outcome<f64> {
        let given = self.number("probability")?;
        if (0.0..=1.0).contains(&given) {
            Ok(given)
        } else {
            Err(format!("probability {given}: not from 0 to 1"))
        }
    }

    fn action(&mut self) -> Outcome<Action> {
        Ok(match self.text("action")? {
            "delay" => Action::Delay(self.milliseconds()?),
            "status" => Action::Status(self.number("status")?),
            "rpc-error" => Action::RpcError(self.number("code")?),
            "lose-reply" => Action::LoseReply,
            "lose-request" => Action::LoseRequest,
            "close-before" => Action::CloseBefore,
            "close-after" => Action::CloseAfter,
            "late" => Action::LateApply(self.milliseconds()?),
            other => return Err(format!("no action is called {other}")),
        })
    }
}

impl Sim {
    /// Runs a command and returns what it answers, which is one line.
    ///
    /// # Errors
    /// What is wrong with it, in words; nothing has happened then.
    pub async fn obey(&self, line: &str) -> Outcome<String> {
        let mut words = Words(line.split_ascii_whitespace());
        let mut answer = String::new();
        match words.text("command")? {
            "kill-chunkserver" => self.kill_chunkserver(self.known_chunkserver(&mut words)?).await,
            "start-chunkserver" => {
                let id = self.known_chunkserver(&mut words)?;
                if self.chunkserver_is_down(id) {
                    self.start_chunkserver(id).await.map_err(|e| e.to_string())?;
                }
            }
            "kill-mds" => self.kill_mds().await,
            "start-mds" => {
                let index: usize = words.number("index")?;
                if index >= self.mds_addresses().len() {
                    return Err(format!("no MDS {index}"));
                }
                self.kill_mds().await;
                self.start_mds(index).await.map_err(|e| e.to_string())?;
            }
            "fail-over-mds" => self.fail_over_mds().await.map_err(|e| e.to_string())?,
            "move-leaders" => self.move_leaders(words.milliseconds()?).await,
            "shuffle-leaders" => self.shuffle_leaders(words.number::<std::num::NonZeroU32>("N")?.get()),
            "copyset" => {
                let (path, offset) = (words.text("path")?, words.number("offset")?);
                let found = self.copyset_of(path, offset);
                answer = found
                    .ok_or_else(|| format!("{path} has nothing at {offset}"))?
                    .to_string();
            }
            "owner" => {
                let path = words.text("path")?;
                let found = self.with_namespace(|namespace| namespace.file(path));
                let file = found.map_err(|status| format!("{path}: {status:?}"))?;
                answer = file.owner().to_owned();
            }
            "hold" => self.hold(words.number("copyset")?, true)?,
            "let-go" => self.hold(words.number("copyset")?, false)?,
            "fault" => {
                let (method, probability) = (words.method()?, words.probability()?);
                self.faults()
                    .add(Fault::some(method, probability, words.action()?));
            }
            "next" => {
                let method = words.method()?;
                self.faults().add(Fault::next(method, words.action()?));
            }
            "shift-clock" => self.clock().shift(words.number("seconds")?),
            "clear" => {
                self.faults().clear();
                answer = self.faults().count().to_string();
            }
            "violations" => answer = self.violations().join("; "),
            other => return Err(format!("no command is called {other}")),
        }
        Ok(answer)
    }

    fn known_chunkserver(&self, words: &mut Words<'_>) -> Outcome<u32> {
        let id = words.number("id")?;
        if (1..=self.chunkserver_count()).contains(&id) {
            Ok(id)
        } else {
            Err(format!("no chunkserver {id}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SimConfig;

    async fn sim() -> Sim {
        Sim::start(SimConfig::default()).await.expect("cluster")
    }

    #[tokio::test]
    async fn a_held_copyset_gets_no_leader_until_it_is_let_go() {
        let sim = sim().await;
        sim.obey("hold 3").await.expect("held");
        assert_eq!(sim.leader(3), None);
        sim.obey("move-leaders 0").await.expect("moved");
        sim.obey("kill-chunkserver 1").await.expect("killed");
        sim.obey("start-chunkserver 1").await.expect("started");
        tokio::time::sleep(SimConfig::default().election * 2).await;
        assert_eq!(sim.leader(3), None);
        assert!(sim.leader(4).is_some());
        sim.obey("let-go 3").await.expect("let go");
        assert!(sim.leader(3).is_some());
    }

    #[tokio::test]
    async fn what_is_no_command_is_said_and_changes_nothing() {
        let sim = sim().await;
        for bad in [
            "",
            "dance",
            "hold",
            "hold 99",
            "kill-chunkserver 4",
            "kill-chunkserver x",
            "start-mds 1",
            "shuffle-leaders 0",
            "copyset /none 0",
            "shift-clock soon",
            "fault * 2 lose-reply",
            "fault Write 0.5 explode",
            "next Write delay",
        ] {
            sim.obey(bad).await.expect_err(bad);
        }
        assert_eq!(sim.obey("clear").await.as_deref(), Ok("0"));
        assert_eq!(sim.obey("violations").await.as_deref(), Ok(""));
    }
}
