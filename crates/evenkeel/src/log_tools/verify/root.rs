//! The files in the root of the data directory: identity, offset checkpoints, the checkpoints of the shards, and
//! the metadata as a whole.

use std::path::Path;

use env::{Group, IoFailure};
use journal::Replay;
use journal::checkpoint::{self, Checkpoint};
use metadata::Image;
use metadata::kafka_files::{
    CLEANER_CHECKPOINT, LOG_START_CHECKPOINT, META_PROPERTIES, OffsetCheckpoint,
    RECOVERY_POINT_CHECKPOINT, REPLICATION_CHECKPOINT, decode_offsets,
};
use record::{Offset, TopicPartition};

use super::Verifier;
use super::findings::Place;
use super::logs::Scope;
use crate::log_tools::directory::{Directory, METADATA_TOPIC, small_file};
use crate::log_tools::fold::fold;

/// Kafka's offset checkpoints.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    recovery_points: OffsetCheckpoint,
    starts: OffsetCheckpoint,
    high_watermarks: OffsetCheckpoint,
}

impl Offsets {
    /// What the next start would trust of a log: the rule of the broker.
    pub(super) fn scope<E: env::Env>(
        &self,
        topic: &str,
        partition: i32,
        image: &Image,
        points: &Checkpoint,
        replay: Option<&Replay<E>>,
    ) -> Scope {
        let id =
            image.topic_named(topic).map(|topic| TopicPartition { topic: topic.id, partition });
        let said = id.and_then(|id| replay.and_then(|replay| replay.partition(id)));
        if let Some(point) = id.and_then(|id| points.get(id)) {
            let dirty_from = said.and_then(|said| said.dirty_from);
            let recovery_point =
                dirty_from.map_or(point.recovery_point, |from| from.min(point.recovery_point));
            return Scope { recovery_point };
        }
        let key = (topic.to_owned(), partition);
        let start = self.starts.get(&key).copied().unwrap_or(Offset::ZERO);
        Scope { recovery_point: self.recovery_points.get(&key).copied().unwrap_or(start) }
    }
}

impl Verifier {
    /// Checks the identity and the offset checkpoints.
    pub(super) async fn root_files(&mut self, found: &Directory) -> Result<Offsets, IoFailure> {
        if let Err(what) = &found.identity {
            self.findings.damage(Place::file(Path::new(META_PROPERTIES)), what.clone());
        }
        self.offsets(CLEANER_CHECKPOINT).await?;
        Ok(Offsets {
            recovery_points: self.offsets(RECOVERY_POINT_CHECKPOINT).await?,
            starts: self.offsets(LOG_START_CHECKPOINT).await?,
            high_watermarks: self.offsets(REPLICATION_CHECKPOINT).await?,
        })
    }

    async fn offsets(&mut self, name: &str) -> Result<OffsetCheckpoint, IoFailure> {
        let path = Path::new(name);
        Ok(match small_file(&self.env, path, decode_offsets).await? {
            Some(Ok(offsets)) => offsets,
            Some(Err(what)) => {
                self.findings.damage(Place::file(path), what);
                OffsetCheckpoint::new()
            }
            None => OffsetCheckpoint::new(),
        })
    }

    /// After a clean stop no checkpoint stands beyond the end of its log.
    pub(super) fn check_offsets(
        &mut self,
        offsets: &Offsets,
        topic: &str,
        partition: i32,
        end: Offset,
    ) {
        if !self.clean {
            return;
        }
        let key = (topic.to_owned(), partition);
        let all = [
            (RECOVERY_POINT_CHECKPOINT, &offsets.recovery_points),
            (LOG_START_CHECKPOINT, &offsets.starts),
            (REPLICATION_CHECKPOINT, &offsets.high_watermarks),
        ];
        for (name, checkpoint) in all {
            if let Some(at) = checkpoint.get(&key).filter(|at| end < **at) {
                let what = format!(
                    "it says {} for {topic}-{partition}, which ends at {}",
                    at.raw(),
                    end.raw()
                );
                self.findings.damage(Place::file(Path::new(name)), what);
            }
        }
    }

    /// Checks that the metadata can be folded; gives it as far as it can.
    pub(super) async fn metadata(&mut self, found: &Directory) -> Result<Image, IoFailure> {
        let Some(files) = found.logs.get(&(METADATA_TOPIC.to_owned(), 0)) else {
            let place = Place::file(Path::new(&format!("{METADATA_TOPIC}-0")));
            self.findings.damage(place, "there is no metadata log");
            return Ok(Image::new());
        };
        let folded = fold(&self.env, files).await?;
        if let Some(what) = folded.stopped {
            let mut place = Place::file(&files.dir);
            if let Some(end) = folded.end {
                place = place.offset(end);
            }
            let what = format!("the metadata cannot be read further: {what}");
            if self.clean {
                self.findings.damage(place, what);
            } else {
                self.findings.note(place, what);
            }
        }
        Ok(folded.image)
    }

    /// Checks the checkpoints of the shards.
    pub(super) async fn checkpoints(&mut self) -> Checkpoint {
        match checkpoint::load(&self.env, Group::System).await {
            Ok(points) => points.unwrap_or_default(),
            Err(error) => {
                let place = Place::file(Path::new(checkpoint::CHECKPOINT_FILE_PREFIX));
                self.findings.damage(place, error.to_string());
                Checkpoint::default()
            }
        }
    }
}
