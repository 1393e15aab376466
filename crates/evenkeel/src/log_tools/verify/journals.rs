//! The frames of the journals, and every batch in them that a start would replay.

use std::path::Path;

use env::Group;
use env::std_world::StdEnv;
use journal::checkpoint::Checkpoint;
use journal::{Damage, Piece, Replay, ReplayError};
use record::{Batches, TopicPartition};

use super::Verifier;
use super::batch;
use super::findings::Place;
use crate::log_tools::directory::Directory;

impl Verifier {
    /// Checks every journal; gives what it would replay.
    pub(super) async fn journals(
        &mut self,
        found: &Directory,
        points: &Checkpoint,
    ) -> Option<Replay<StdEnv>> {
        let replayed = journal::replay(&self.env, points, Group::System).await;
        self.progress.add(found.journals.iter().map(|(_, bytes)| *bytes).sum());
        let replay = match replayed {
            Ok(replay) => replay,
            Err(error) => {
                self.findings.damage(place_of(&error), error.to_string());
                return None;
            }
        };
        for damage in replay.damage() {
            let (path, what) = describe(damage);
            self.findings.damage(Place::file(path), what);
        }
        for (partition, said) in replay.partitions() {
            for piece in &said.pieces {
                self.piece(&replay, *partition, piece).await;
            }
        }
        Some(replay)
    }

    async fn piece(&mut self, replay: &Replay<StdEnv>, of: TopicPartition, piece: &Piece) {
        let place = Place::file(Path::new("journal")).offset(piece.base);
        let bytes = match replay.read(piece, Group::System).await {
            Ok(bytes) => bytes,
            Err(error) => return self.findings.damage(place, format!("{of}: {error}")),
        };
        for found in Batches::new(&bytes) {
            let checked = match found {
                Ok((header, batch)) => batch::check(&header, batch),
                Err(error) => Err(error.to_string()),
            };
            match checked {
                Ok(_) => self.findings.journal_batches += 1,
                Err(what) => self.findings.damage(place.clone(), format!("{of}: {what}")),
            }
        }
    }
}

fn place_of(error: &ReplayError) -> Place {
    match error {
        ReplayError::Malformed { path, position } | ReplayError::Changed { path, position } => {
            Place::file(path).at(*position)
        }
        ReplayError::Version { path, .. } => Place::file(path),
        ReplayError::Io(_) | ReplayError::Memory(_) => Place::file(Path::new("journal")),
    }
}

fn describe(damage: &Damage) -> (&Path, String) {
    match damage {
        Damage::Frames { path, run, sequences } => {
            let count = sequences.end - sequences.start;
            let what = format!(
                "{count} flushed frames of run {run} are not intact, from sequence {}",
                sequences.start
            );
            (path, what)
        }
        Damage::Header { path } => (path, "the header page cannot be read".to_owned()),
    }
}
