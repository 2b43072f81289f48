//! Row 14: the end of the spool of a killed relay is damaged: cut and flipped at every offset.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use sluice_domain::{Clock, Epoch, Now, Outcome, Record, UnixMillis};
use sluice_relay_node::metrics::Metrics;
use sluice_relay_node::spool::{BatchLimits, Spool, SpoolSettings};
use sluice_rpc::usage;
use sluice_telemetry::metrics::Registry;
use sluice_testkit::proxy::Proxy;

use crate::faults::Stage;
use crate::faults::figure::{Figure, seconds};
use crate::faults::site::{Plan, SETTLE_LIMIT, Site};
use crate::load::End;

/// Offsets of the spool's end that are damaged: the last record and what comes before it. A recovery takes its time without optimisation.
const OFFSETS: usize = if cfg!(debug_assertions) { 400 } else { 1_000 };
/// Requests whose records are to lie in the spool, at the least.
const RECORDS: usize = 100;
/// Bytes that every record begins with: of so many offsets no more than one lies between two records.
const RECORD_BYTES: usize = 25;
/// What a relay counts of what it could not read.
const LOST: &str = "sluice_relay_spool_lost_bytes_total";

pub(super) async fn row(stage: &Stage) -> Vec<Figure> {
    let mut site = Site::start(stage, &Plan::new(stage)).await;
    let traffic = site.traffic();
    site.warm(&traffic).await;
    // nothing more is acknowledged: what the spool holds is all there is
    let lock = if stage.is_single() {
        Some(site.books.lock_file().await.expect("the file can be locked"))
    } else {
        site.links[0].iter().for_each(Proxy::refuse);
        None
    };
    let enough = traffic.whole() + (RECORDS * site.relays.len()) as u64 * 5 / 4;
    assert!(site.until(SETTLE_LIMIT, async || traffic.whole() >= enough).await.is_some(), "the load does not flow");
    site.relays[0].kill_9();
    drop(lock);
    let seen = traffic.stop().await;
    let spool = site.relays[0].folder().join(if stage.is_single() { "relay/spool" } else { "spool" });
    let (tail, end) = last_segment(&spool).expect("a spool has segments");
    // one copy without the room that was taken ahead: it is copied often
    let small = tempfile::tempdir().expect("a folder can be made");
    copy_spool(&spool, small.path());
    let whole = Recovered::of_copy(small.path(), |_| {}).expect("a whole spool is recovered");
    let mut damages = Damages::default();
    for offset in end.saturating_sub(OFFSETS)..end {
        for damage in [Damage::Cut, Damage::Flip] {
            let inside = tail.strip_prefix(&spool).expect("it lies in the spool");
            let found = Recovered::of_copy(small.path(), |copy| damage.inflict(&copy.join(inside), offset));
            damages.take(damage, offset, found, &whole);
        }
    }
    // the real one, cut inside its last record
    Damage::Cut.inflict(&tail, end - 3);
    if !stage.is_single() {
        site.heal(0);
    }
    site.relays[0].start();
    site.relays[0].wait_ready().await;
    let told = site.figure(0, LOST).await.unwrap_or_default();
    let (settled, ledger, audit) = site.settle().await;
    let known: HashSet<&str> = ledger.rows.iter().map(|row| row.request_id.as_str()).collect();
    let unknown = seen.iter().filter(|one| one.end == End::Whole && !known.contains(one.request_id.as_str())).count();
    let mut figures = vec![
        Figure::at_least("requests that ended, in the spool", RECORDS, whole.ended.len()),
        Figure::at_least("requests under way, in the spool", 1, whole.cut.len()),
    ];
    figures.extend(damages.figures());
    figures.extend([
        Figure::at_most("requests lost by a cut inside the last record of the real one", 1, audit.lost.len().max(unknown)),
        Figure::at_least("bytes it told it could not read", 1.0, told),
        Figure::note("everything else settled", settled.map_or_else(|| "not in time".to_owned(), seconds)),
        Figure::none("requests settled twice", &audit.doubled),
    ]);
    figures.extend(audit.conservation());
    figures
}

/// What came of damaged copies.
#[derive(Debug, Default)]
struct Damages {
    inflicted: usize,
    recovered: usize,
    /// Something else than a prefix was recovered, or nothing.
    wrong: Vec<String>,
    /// A flipped bit was not told of.
    untold_flips: Vec<usize>,
    /// Something was lost by a cut, and that was not told of.
    untold_cuts: Vec<usize>,
    most_lost: usize,
}

impl Damages {
    fn take(&mut self, damage: Damage, offset: usize, found: anyhow::Result<Recovered>, whole: &Recovered) {
        self.inflicted += 1;
        let found = match found {
            Ok(found) => found,
            Err(error) => return self.wrong.push(format!("{damage:?} at {offset}: {error}")),
        };
        self.recovered += 1;
        if let Err(why) = found.is_prefix_of(whole) {
            self.wrong.push(format!("{damage:?} at {offset}: {why}"));
        }
        let lost = whole.len().saturating_sub(found.len());
        self.most_lost = self.most_lost.max(lost);
        match damage {
            Damage::Flip if !found.is_told => self.untold_flips.push(offset),
            Damage::Cut if !found.is_told && lost > 0 => self.untold_cuts.push(offset),
            Damage::Cut | Damage::Flip => {}
        }
    }

    fn figures(&self) -> Vec<Figure> {
        vec![
            Figure::at_least("damaged copies, cut and flipped", OFFSETS, self.inflicted),
            Figure::exactly("of them recovered", self.inflicted, self.recovered),
            Figure::none("copies that brought something else than a prefix, in its order", &self.wrong),
            Figure::none("flipped bits that nobody was told of", &self.untold_flips),
            Figure::at_most(
                "cuts that lost something and nobody was told of: those between two records",
                OFFSETS / RECORD_BYTES,
                self.untold_cuts.len(),
            ),
            Figure::note(format!("requests lost by damage within the last {OFFSETS} bytes, at most"), self.most_lost.to_string()),
        ]
    }
}

#[derive(Debug, Clone, Copy)]
enum Damage {
    /// The file ends here; zeros follow, as in a segment whose room was taken before.
    Cut,
    /// A bit is another one.
    Flip,
}

impl Damage {
    fn inflict(self, path: &Path, offset: usize) {
        let mut bytes = fs::read(path).expect("a segment can be read");
        match self {
            Self::Cut => bytes[offset..].fill(0),
            Self::Flip => bytes[offset] ^= 1 << (offset % 8),
        }
        fs::write(path, bytes).expect("a segment can be written");
    }
}

/// What the next life finds in the logs of earlier ones.
#[derive(Debug, Default)]
struct Recovered {
    /// The requests that had ended, in their order, with what each is charged.
    ended: Vec<(String, i64)>,
    /// Those that the death cut off.
    cut: HashMap<String, i64>,
    /// Whether somebody is told that bytes could not be read.
    is_told: bool,
}

impl Recovered {
    /// Recovers a copy of a spool, changed before that.
    fn of_copy(spool: &Path, change: impl FnOnce(&Path)) -> anyhow::Result<Self> {
        let copy = tempfile::tempdir()?;
        copy_spool(spool, copy.path());
        change(copy.path());
        Self::of(copy.path())
    }

    fn of(folder: &Path) -> anyhow::Result<Self> {
        let settings = SpoolSettings { segment_bytes: 64 << 10, ..SpoolSettings::default() };
        let clock = Clock::new(|| Now {
            wall: UnixMillis(sluice_telemetry::clock::wall_millis()),
            boot_millis: sluice_telemetry::clock::boot_millis(),
        });
        let registry = Registry::new();
        let metrics = Metrics::declare(&registry).spool;
        let next = Spool::newest_epoch(folder)?.map_or(Epoch(1), Epoch::next);
        let spool = Spool::open(folder, next, settings, clock, metrics)?;
        let mut found = Self::default();
        for mut log in spool.earlier() {
            log.seek(log.acked_below())?;
            while let Some(batch) = log.next_batch(BatchLimits { records: 500, bytes: 1 << 20 })? {
                for body in &batch.records {
                    let Record::Request(request) = usage::decode(body)? else { continue };
                    let (id, quota) = (request.request_id.to_string(), request.quota.get());
                    if request.outcome == Outcome::Orphaned {
                        found.cut.insert(id, quota);
                    } else {
                        found.ended.push((id, quota));
                    }
                }
            }
        }
        found.is_told = !registry.render().contains(&format!("\n{LOST} 0\n"));
        Ok(found)
    }

    fn len(&self) -> usize {
        self.ended.len() + self.cut.len()
    }

    /// The beginning of the same log: what had ended before, in the same order, and of the rest nothing that was not there, and nothing
    /// dearer.
    fn is_prefix_of(&self, whole: &Self) -> Result<(), String> {
        let Some(rest) = whole.ended.strip_prefix(self.ended.as_slice()) else {
            return Err(format!("{} that ended are not the first of {}", self.ended.len(), whole.ended.len()));
        };
        let mut known: HashMap<&str, i64> = whole.cut.iter().map(|(id, quota)| (id.as_str(), *quota)).collect();
        known.extend(rest.iter().map(|(id, quota)| (id.as_str(), *quota)));
        for (id, quota) in &self.cut {
            match known.get(id.as_str()) {
                None => return Err(format!("{id} was not cut off")),
                Some(most) if quota > most => return Err(format!("{id} costs {quota}, more than {most}")),
                Some(_) => {}
            }
        }
        Ok(())
    }
}

/// The newest segment of the newest epoch, and where its records end.
fn last_segment(spool: &Path) -> Option<(PathBuf, usize)> {
    let newest = |folder: &Path, suffix: &str, prefix: &str| {
        let names = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        let is_one = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(prefix) && name.ends_with(suffix)
        };
        names.filter(is_one).max()
    };
    let segment = newest(&newest(spool, "", "epoch-")?, ".seg", "")?;
    let end = fs::read(&segment).ok()?.iter().rposition(|byte| *byte != 0)? + 1;
    Some((segment, end))
}

/// Copies the spool with as much of each segment as has records: the zeros behind them are not worth their time.
fn copy_spool(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a spool can be read") {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).expect("a spool can be read");
        let target = to.join(name);
        if path.is_dir() {
            fs::create_dir_all(&target).expect("a folder can be made");
            copy_spool(&path, &target);
        } else if path.extension().is_some_and(|extension| extension == "seg") {
            let bytes = fs::read(&path).expect("a segment can be read");
            let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |place| place + 1);
            let room = (end + 4_096).min(bytes.len());
            fs::write(target, &bytes[..room]).expect("a segment can be written");
        } else if path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with("spare")) {
            fs::copy(&path, target).expect("a file can be copied");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(ended: &[(&str, i64)], cut: &[(&str, i64)]) -> Recovered {
        let owned = |some: &[(&str, i64)]| some.iter().map(|(id, quota)| ((*id).to_owned(), *quota)).collect::<Vec<_>>();
        Recovered { ended: owned(ended), cut: owned(cut).into_iter().collect(), is_told: true }
    }

    #[test]
    fn a_prefix_has_the_same_order_and_invents_nothing() {
        let whole = found(&[("a", 3), ("b", 5)], &[("c", 2)]);
        assert_eq!(found(&[("a", 3)], &[("b", 4), ("c", 2)]).is_prefix_of(&whole), Ok(()));
        for other in [
            found(&[("b", 5)], &[]),
            found(&[("b", 5), ("a", 3)], &[]),
            found(&[("a", 4)], &[]),
            found(&[("a", 3)], &[("a", 1)]),
            found(&[("a", 3)], &[("b", 6)]),
            found(&[], &[("d", 0)]),
        ] {
            assert!(other.is_prefix_of(&whole).is_err(), "{other:?}");
        }
    }
}
