//! The tables: rows of Markdown, as docs/performance.md has them.

use std::path::Path;

use rbdgate_tests::exec::Program;

use super::fio::Sample;
use super::{Plan, Row};

/// What a column shows of a sample.
type Value = fn(&Sample) -> f64;

/// Prints the machine and the table.
pub(crate) fn print(rows: &[Row], plan: Plan, folder: &Path) {
    println!("{}", machine(folder));
    println!(
        "Image {} GiB, written in full before; {} round(s) of {} s for each job, medians.\n",
        plan.image >> 30,
        plan.rounds,
        plan.seconds
    );
    println!(
        "| job | Ceph IOPS | rbdgate IOPS | ratio | Ceph p50 us | rbdgate p50 us | ratio | Ceph CPU us/op | rbdgate CPU us/op | ratio |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for row in rows {
        println!("{}", line(row));
    }
}

fn line(row: &Row) -> String {
    let mut cells = vec![row.job.name.to_owned()];
    let columns: [(Value, usize); 3] = [(|s| s.iops, 0), (|s| s.p50, 0), (|s| s.cpu, 1)];
    for (value, digits) in columns {
        let ceph = median(row.ceph.iter().map(value));
        let rbdgate = median(row.rbdgate.iter().map(value));
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.digits$}"));
        let ratio = ceph.zip(rbdgate).filter(|(ceph, _)| *ceph > 0.0);
        cells.push(number(ceph));
        cells.push(number(rbdgate));
        cells.push(ratio.map_or_else(
            || "-".to_owned(),
            |(ceph, rbdgate)| format!("{:.2}x", rbdgate / ceph),
        ));
    }
    format!("| {} |", cells.join(" | "))
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle).copied()?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    values
        .get(middle.checked_sub(1)?)
        .map(|lower| (lower + upper) / 2.0)
}

/// What the figures were measured on.
fn machine(folder: &Path) -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("unknown");
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    let text = |program: &str, args: &[&str]| {
        let outcome = Program::new(program).args(args).run();
        outcome.map(|outcome| outcome.text()).unwrap_or_default()
    };
    let folder = folder.display().to_string();
    let disk = text("findmnt", &["-n", "-o", "SOURCE,FSTYPE", "-T", &folder]);
    format!(
        "Machine: {count} x{}, Linux {}, disk {}. {}; {}.",
        model.replace(['\t', ':'], ""),
        text("uname", &["-r"]),
        disk.split_whitespace().collect::<Vec<_>>().join(" "),
        text("fio", &["--version"]),
        text("ceph-osd", &["--version"]),
    )
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn median_of_odd_and_even_counts() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
        assert_eq!(median(std::iter::empty()), None);
    }
}
