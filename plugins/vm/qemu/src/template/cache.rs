//! Each template is made once: by this server for all who ask, and with a folder of the operator's for later servers.

use std::{
    collections::HashMap,
    fs::{self, File, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use rustix::fs::{FlockOperation, flock};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::task::AbortHandle;

use super::{Folder, Spec, Template, boot, make};
use crate::{Error, Result, clone, process, settings::Accelerator};

/// Part of every template's name: counted up when the machine that `hardware` puts together changes.
const VERSION: u32 = 1;

/// What the names of unfinished templates begin with.
const UNFINISHED: &str = "unfinished-";

/// The most templates of one server: each takes a boot, and as much space as its machine has memory. Workers that ask for
/// machines of ever new sizes must not fill the disk.
const MOST: usize = 16;

/// The templates that there are or will be.
#[derive(Debug)]
pub(crate) struct Templates {
    cache: Option<PathBuf>,
    made: Mutex<HashMap<String, Making>>,
}

/// A template, there or under way. The task goes on when nobody waits for it any more.
#[derive(Debug, Clone)]
struct Making {
    template: Shared<BoxFuture<'static, Result<Arc<Template>>>>,
    task: AbortHandle,
}

impl Templates {
    pub(crate) fn new(cache: Option<PathBuf>) -> Self {
        Self {
            cache,
            made: Mutex::default(),
        }
    }

    /// The template for this; made if there is none.
    pub(crate) async fn get(&self, spec: &Spec) -> Result<Arc<Template>> {
        let key = key(spec).map_err(Error::system("look at the disk image"))?;
        let making = {
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            if made.len() >= MOST && !made.contains_key(&key) {
                return Err(Error::Unsupported(format!(
                    "this server already has {MOST} virtual machines of different sizes; ask for one of theirs"
                )));
            }
            let begin = || Making::begin(self.cache.clone(), spec.clone(), key.clone());
            made.entry(key.clone()).or_insert_with(begin).clone()
        };
        let result = making.template.await;
        if result.is_err() {
            // The next who asks tries again, unless somebody has begun to.
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            if made
                .get(&key)
                .is_some_and(|there| there.task.id() == making.task.id())
            {
                made.remove(&key);
            }
        }
        result
    }

    /// Stops what is under way and lets go of what there is.
    pub(crate) fn forget(&self) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, making) in made.drain() {
            making.task.abort();
        }
    }
}

impl Making {
    fn begin(cache: Option<PathBuf>, spec: Spec, key: String) -> Self {
        let task = tokio::spawn(async move {
            match cache {
                None => fresh(&spec).await,
                Some(cache) => kept(&spec, cache, key).await,
            }
        });
        let handle = task.abort_handle();
        let template = task
            .map(|ended| ended.unwrap_or_else(|_| Err(Error::Refused("the server stops".into()))));
        Self {
            template: template.boxed().shared(),
            task: handle,
        }
    }
}

/// A template for this server alone.
async fn fresh(spec: &Spec) -> Result<Arc<Template>> {
    let folder = process::folder()?;
    let facts = make(spec, folder.path()).await?;
    Ok(Arc::new(Template {
        folder: Folder::Own(folder),
        facts,
    }))
}

/// A template from the cache, which other servers may use too.
async fn kept(spec: &Spec, cache: PathBuf, key: String) -> Result<Arc<Template>> {
    let refused = Error::system("use the folder of `template_cache`");
    // Held until the template is there: whoever else needs it waits.
    let _lock = lock(cache.clone(), &key).await.map_err(&refused)?;
    let place = cache.join(&key);
    if let Some(template) = Template::read(&place) {
        let template = Arc::new(template);
        if works(spec, &template).await {
            return Ok(template);
        }
        tracing::warn!("a kept template does not work any more, making it anew");
    }
    sweep(&cache, &key);
    let folder = tempfile::Builder::new()
        .prefix(&unfinished(&key))
        .tempdir_in(&cache)
        .map_err(&refused)?;
    make(spec, folder.path()).await?;
    fs::rename(folder.path(), &place).map_err(&refused)?;
    // Its name is another now; there is nothing left to remove.
    let _ = folder.keep();
    Template::read(&place)
        .map(Arc::new)
        .ok_or_else(|| Error::Refused("the template was removed".into()))
}

/// Whether a guest starts from it.
async fn works(spec: &Spec, template: &Arc<Template>) -> bool {
    if template.facts().accelerator == Accelerator::Kvm && !boot::kvm_opens() {
        return false;
    }
    match clone::start(spec, Arc::clone(template)).await {
        Ok(guest) => {
            guest.close().await;
            true
        }
        Err(error) => {
            tracing::warn!(%error, "a guest does not start from a kept template");
            false
        }
    }
}

async fn lock(cache: PathBuf, key: &str) -> io::Result<File> {
    let file = cache.join(format!("{key}.lock"));
    let wait = move || {
        fs::create_dir_all(&cache)?;
        let file = File::create(file)?;
        flock(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    };
    tokio::task::spawn_blocking(wait).await?
}

fn unfinished(key: &str) -> String {
    format!("{UNFINISHED}{key}-")
}

/// Removes what servers left that were killed in the middle. The lock is held, so nobody is at it.
fn sweep(cache: &Path, key: &str) {
    let unfinished = unfinished(key);
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name == key || name.starts_with(&unfinished) {
            // What cannot be removed makes the rename fail, which says so.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// What tells one template from another: everything that its state depends on.
fn key(spec: &Spec) -> io::Result<String> {
    let settings = &spec.settings;
    let shape = &spec.shape;
    let mut files = vec![&shape.image];
    files.extend(&settings.kernel);
    files.extend(&settings.initrd);
    let mut identities = Vec::new();
    for file in files {
        identities.push(json!([file, identity(&fs::metadata(file)?)]));
    }
    let facts = json!([
        VERSION,
        spec.installation.version,
        processor(),
        identities,
        shape.snapshot,
        shape.screen_size,
        shape.memory_mb,
        shape.cpus,
        settings.accelerator,
        settings.disk_interface,
        settings.network,
        settings.kernel_args,
        settings.ready_text,
    ]);
    let digest = Sha256::digest(facts.to_string());
    let (half, _) = digest.as_slice().split_at(16);
    let number = half
        .iter()
        .fold(0, |number, byte| number << 8 | u128::from(*byte));
    Ok(format!("{number:032x}"))
}

/// A file's contents without reading them: images are too large for that.
fn identity(file: &Metadata) -> [i64; 4] {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    [
        signed(file.size()),
        signed(file.ino()),
        file.mtime(),
        file.mtime_nsec(),
    ]
}

/// The machine's processor: with KVM a guest has the same.
fn processor() -> String {
    let about = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = about.lines().find(|line| line.starts_with("model name"));
    model.unwrap_or_default().to_owned()
}
