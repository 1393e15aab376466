//! The small files of a log: which topic it is, its leader epochs, its producer snapshots.

use env::{Group, IoFailure, read_all};
use metadata::Image;
use metadata::kafka_files::{
    LEADER_EPOCH_CHECKPOINT, PARTITION_METADATA, decode_leader_epochs, decode_partition_metadata,
};
use record::Offset;

use super::Verifier;
use super::findings::Place;
use crate::log_tools::directory::{Kind, LogFiles, METADATA_TOPIC, small_file};

/// Largest producer snapshot that is read, in bytes.
const SNAPSHOT_BYTES_MAX: usize = 64 << 20;

impl Verifier {
    /// Checks the files beside the segments of a log that ends at `end`.
    pub(super) async fn beside(
        &mut self,
        files: &LogFiles,
        topic: &str,
        partition: i32,
        image: &Image,
        end: Offset,
    ) -> Result<(), IoFailure> {
        if topic != METADATA_TOPIC {
            self.topic_of(files, topic, partition, image).await?;
        }
        self.epochs(files, end).await?;
        for at in &files.snapshots {
            self.snapshot(files, *at, end).await?;
        }
        Ok(())
    }

    async fn topic_of(
        &mut self,
        files: &LogFiles,
        topic: &str,
        partition: i32,
        image: &Image,
    ) -> Result<(), IoFailure> {
        let path = files.dir.join(PARTITION_METADATA);
        let found = small_file(&self.env, &path, decode_partition_metadata).await?;
        let place = Place::file(&path);
        let known = image.topic_named(topic).filter(|t| t.partitions.contains_key(&partition));
        match (found, known) {
            // Kafka of old wrote none, and a creation may have been interrupted.
            (None, _) => {}
            (Some(Err(what)), _) => self.findings.damage(place, what),
            (Some(Ok(_)), None) => {
                self.findings.note(place, "the metadata does not know this partition");
            }
            (Some(Ok(id)), Some(topic)) if id != topic.id => {
                let what = format!("it is of topic id {id}, the metadata has {}", topic.id);
                self.findings.note(place, what);
            }
            (Some(Ok(_)), Some(_)) => {}
        }
        Ok(())
    }

    async fn epochs(&mut self, files: &LogFiles, end: Offset) -> Result<(), IoFailure> {
        let path = files.dir.join(LEADER_EPOCH_CHECKPOINT);
        let place = Place::file(&path);
        match small_file(&self.env, &path, decode_leader_epochs).await? {
            None => {}
            Some(Err(what)) => self.findings.damage(place, what),
            Some(Ok(epochs))
                if self.clean && epochs.last().is_some_and(|last| end < last.start) =>
            {
                let what = format!("an epoch begins beyond the log's end {}", end.raw());
                self.findings.damage(place, what);
            }
            Some(Ok(_)) => {}
        }
        Ok(())
    }

    async fn snapshot(
        &mut self,
        files: &LogFiles,
        at: Offset,
        end: Offset,
    ) -> Result<(), IoFailure> {
        let path = files.path(at, Kind::Snapshot);
        let content = read_all(&self.env, &path, SNAPSHOT_BYTES_MAX, Group::System).await?;
        let place = Place::file(&path).offset(at);
        if let Some(Err(error)) = content.map(|bytes| partition::snapshot::decode(&bytes)) {
            self.findings.damage(place, error.to_string());
        } else if self.clean && end < at {
            let what = format!("it stands beyond the log's end {}", end.raw());
            self.findings.damage(place, what);
        }
        Ok(())
    }
}
