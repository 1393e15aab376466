//! `evenkeel log verify DIR`: reads every byte that is served and says what is not as it should be. Changes
//! nothing.
//!
//! After a kill the end of a log may be torn, and indexes may lag behind: recovery settles that, so above the
//! recovery point it is a note and no damage. After a clean stop nothing may be left over.

mod batch;
mod beside;
mod findings;
mod indexes;
mod journals;
mod logs;
mod root;

use std::path::Path;
use std::process::ExitCode;

use env::IoFailure;
use env::std_world::StdEnv;

use self::findings::Findings;
use super::directory::{self, Directory};
use super::progress::Progress;
use crate::print;

/// Checks the directory; prints what was found, and gives exit code 1 if anything is damaged.
pub(super) fn run(dir: &Path) -> Result<ExitCode, String> {
    let env = super::world(dir)?;
    if crate::directory_lock::is_in_use(dir) {
        let dir = dir.display();
        return Err(format!(
            "{dir} is in use: what a broker writes cannot be judged; stop it first"
        ));
    }
    let (text, damaged) = verified(&env, Progress::on_stderr)?;
    print(text.trim_end());
    Ok(if damaged { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What is printed, and whether anything is damaged. `progress` is told how many bytes are to be read.
pub(super) fn verified(
    env: &StdEnv,
    progress: impl FnOnce(u64) -> Progress,
) -> Result<(String, bool), String> {
    let findings = env.block_on(async {
        let found = directory::read(env).await?;
        let progress = progress(bytes_to_read(&found));
        verify(env, &found, progress).await
    });
    let findings = findings.map_err(|failure: IoFailure| failure.to_string())?;
    Ok((findings.render(), findings.is_damaged()))
}

/// What every check needs: where it reads, and where it says what it found.
struct Verifier {
    env: StdEnv,
    /// The directory was stopped cleanly, so nothing may be unfinished.
    clean: bool,
    findings: Findings,
    progress: Progress,
}

/// Checks everything in `found`. Only a failing device is an error; damage is in the result.
async fn verify(
    env: &StdEnv,
    found: &Directory,
    progress: Progress,
) -> Result<Findings, IoFailure> {
    let clean = found.clean.is_some();
    let mut verifier =
        Verifier { env: env.clone(), clean, findings: Findings::default(), progress };
    let image = verifier.metadata(found).await?;
    let points = verifier.checkpoints().await;
    let replay = verifier.journals(found, &points).await;
    let offsets = verifier.root_files(found).await?;
    for ((topic, partition), files) in &found.logs {
        let scope = offsets.scope(topic, *partition, &image, &points, replay.as_ref());
        let end = verifier.log(files, scope).await?;
        verifier.beside(files, topic, *partition, &image, end).await?;
        verifier.check_offsets(&offsets, topic, *partition, end);
    }
    verifier.progress.finish();
    Ok(verifier.findings)
}

fn bytes_to_read(found: &Directory) -> u64 {
    let logs = found.logs.values().map(directory::LogFiles::log_bytes);
    logs.chain(found.journals.iter().map(|(_, bytes)| *bytes)).sum()
}
