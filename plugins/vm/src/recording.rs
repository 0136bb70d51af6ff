//! A session as a video file: pictures of its desktop, whoever provides it, handed to ffmpeg.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sandbox_plugin_api::Error;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::desktop::{Desktop, Failure, Picture};

/// How long ffmpeg may take to finish a file.
const FINISH_LIMIT: Duration = Duration::from_secs(10);
/// The most pictures that stand in for ones that were not taken in time, after each one that was.
const MOST_REPEATS: u128 = 60;

/// A recording that goes on until it is finished, or dropped.
#[derive(Debug)]
pub(crate) struct Recording {
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

impl Recording {
    /// Begins to record into a file of this name in the folder.
    pub(crate) async fn begin(
        desktop: Arc<dyn Desktop>,
        folder: &Path,
        name: &str,
        fps: u32,
    ) -> Result<Self, Failure> {
        tokio::fs::create_dir_all(folder).await?;
        let first = desktop.picture().await?;
        let file = folder.join(format!("{}.mp4", tame(name)));
        let mut ffmpeg = command(&first, &file, fps).spawn()?;
        let Some(frames) = ffmpeg.stdin.take() else {
            return Err(Failure::Refused(
                "the recording could not be started".into(),
            ));
        };
        let (stop, stopped) = oneshot::channel();
        let reel = Reel {
            desktop,
            frames,
            last: first,
            fps,
        };
        let task = tokio::spawn(async move {
            let frames = reel.roll(stopped).await;
            finish(ffmpeg, frames).await;
        });
        Ok(Self {
            stop: Some(stop),
            task: Some(task),
        })
    }

    /// Ends the recording and returns when the file is whole.
    pub(crate) async fn finish(mut self) {
        drop(self.stop.take());
        if let Some(task) = self.task.take() {
            drop(task.await);
        }
    }
}

/// What is recorded, and where it goes.
struct Reel {
    desktop: Arc<dyn Desktop>,
    frames: ChildStdin,
    last: Picture,
    fps: u32,
}

impl Reel {
    /// Writes pictures until told to stop, the last one then, or until the desktop or ffmpeg ends. Gives the input back
    /// to be closed.
    async fn roll(mut self, mut stopped: oneshot::Receiver<()>) -> ChildStdin {
        let begun = Instant::now();
        let mut beat = tokio::time::interval(Duration::from_secs(1) / self.fps);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let (mut written, mut over) = (0, false);
        while !over {
            tokio::select! {
                _ = &mut stopped => over = true,
                _ = beat.tick() => {}
            }
            match self.desktop.picture().await {
                // The size of a video is that of its first picture.
                Ok(picture) if picture.rgba.len() == self.last.rgba.len() => self.last = picture,
                Ok(_) => {}
                Err(_) => break,
            }
            // Time in the video is time on the clock: a late picture is shown for as long as it stands for.
            let due = begun.elapsed().as_millis() * u128::from(self.fps) / 1000 + 1;
            let due = due.max(written + u128::from(over));
            for _ in 0..due.saturating_sub(written).min(MOST_REPEATS) {
                if self.frames.write_all(&self.last.rgba).await.is_err() {
                    return self.frames;
                }
            }
            written = written.max(due);
        }
        self.frames
    }
}

fn command(first: &Picture, file: &PathBuf, fps: u32) -> Command {
    let size = format!("{}x{}", first.width, first.height);
    let rate = fps.to_string();
    let mut command = Command::new("ffmpeg");
    command
        .args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"])
        .args([
            "-f",
            "rawvideo",
            "-pixel_format",
            "rgba",
            "-video_size",
            &size,
        ])
        .args(["-framerate", &rate, "-i", "pipe:0"])
        // Players want even sizes and this layout of colours.
        .args([
            "-vf",
            "pad=ceil(iw/2)*2:ceil(ih/2)*2",
            "-pix_fmt",
            "yuv420p",
        ])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-threads", "1"])
        // In pieces of a second, each whole: a file whose server was killed can be played.
        .args(["-g", &rate, "-movflags", "frag_keyframe+empty_moov"])
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
    command
}

async fn finish(mut ffmpeg: Child, mut frames: ChildStdin) {
    drop(frames.shutdown().await);
    drop(frames);
    match tokio::time::timeout(FINISH_LIMIT, ffmpeg.wait()).await {
        Ok(Ok(status)) if status.success() => {}
        ended => {
            tracing::warn!(?ended, "a recording was not finished");
            drop(ffmpeg.kill().await);
        }
    }
}

/// A name as part of a file's: it comes from a worker.
fn tame(name: &str) -> String {
    const LONGEST: usize = 100;
    let fine = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' {
            c
        } else {
            '_'
        }
    };
    name.chars().take(LONGEST).map(fine).collect()
}

/// Whether recordings can be made.
pub(crate) fn check() -> Result<(), Error> {
    if crate::display::on_path("ffmpeg") {
        return Ok(());
    }
    let message =
        "recordings need the program ffmpeg, which is not installed (apt-get install ffmpeg)";
    Err(Error::unavailable(message))
}
