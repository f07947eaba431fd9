//! `sluice store check`: whether the store on disk is whole. It changes nothing, and an agent may be running.

use super::output::{Mark, print};
use super::{Answer, Context};
use crate::config::{ClientSettings, ProcessEnvironment};
use crate::model::Clock;
use crate::queue::{StoreReport, check_store};

/// The store of deliveries, jobs and statuses
#[derive(Debug, clap::Subcommand)]
pub(super) enum Store {
    /// Check every page, record and index of the store in `--state`; exit code 1 when something is damaged
    Check,
}

pub(super) async fn run(command: Store, cx: &Context) -> anyhow::Result<Answer> {
    let Store::Check = command;
    let settings = ClientSettings::load(&cx.flags, &ProcessEnvironment)?;
    let report = check_store(&settings.state, &Clock::system()).await?;
    print(&lines(&report))?;
    if report.damages.is_empty() {
        cx.terminal.say(Mark::Done, "no damage found");
        return Ok(Answer::Done);
    }
    for damage in &report.damages {
        cx.terminal.say(Mark::Failed, damage);
    }
    cx.terminal.say(
        Mark::Failed,
        format!(
            "the store is damaged\nhint: stop the agent, copy `{}*` aside, and put a backup in its place or start without: releases on the clusters are taken over, deliveries and history are lost",
            report.path.display()
        ),
    );
    Ok(Answer::Failed)
}

fn lines(report: &StoreReport) -> String {
    let StoreReport { path, bytes, schema, damages: _, facts } = report;
    let mut text = format!("{}: {:.1} MB, schema {schema}\n", path.display(), *bytes as f64 / 1e6);
    if let Some(facts) = facts {
        text.push_str(&format!(
            "{} deliveries; {} jobs wait, {} of them due, {} run, {} objects are set aside; {} messages wait, {} were given up\n",
            facts.deliveries,
            facts.pending,
            facts.due,
            facts.running,
            facts.set_aside,
            facts.outbox_pending,
            facts.outbox_dead
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{Queue, QueueSettings};

    #[tokio::test]
    async fn a_store_is_checked_while_it_is_in_use_and_damage_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let missing = check_store(dir.path(), &clock).await.unwrap_err().to_string();
        assert!(missing.starts_with("failed to read the store `"), "{missing}");
        let (queue, writer) = Queue::open(dir.path(), QueueSettings::default(), clock.clone()).await.unwrap();
        let writing = tokio::spawn(writer.run());
        let keys = (0..400).map(|number| format!("{{\"name\": \"{}\"}}", "x".repeat(number)));
        for (number, text) in keys.enumerate() {
            let object = crate::model::ObjectKey::new(crate::model::Kind::Bucket, "a", format!("b{number}"));
            let patch = serde_json::from_str(&text).unwrap();
            queue.put_overlay(crate::queue::Overlay { object, patch }).await.unwrap();
        }
        let report = check_store(dir.path(), &clock).await.unwrap();
        assert_eq!(report.damages, Vec::<String>::new());
        assert!(lines(&report).contains("0 deliveries; 0 jobs wait"), "{}", lines(&report));
        queue.close().await.unwrap();
        writing.await.unwrap().unwrap();

        let mut bytes = std::fs::read(&report.path).unwrap();
        let middle = bytes.len() / 2 / 4096 * 4096;
        bytes[middle..middle + 4096].fill(0x5a);
        std::fs::write(&report.path, bytes).unwrap();
        let report = check_store(dir.path(), &clock).await.unwrap();
        assert!(!report.damages.is_empty());
    }
}
