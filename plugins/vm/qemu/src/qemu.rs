//! The way in: machines of given shapes.

use std::{path::PathBuf, sync::Arc};

use serde::Serialize;
use tokio::sync::OnceCell;

use crate::{
    Error, Guest, Result, Settings, clone,
    installation::Installation,
    template::{Spec, Templates},
};

/// What a machine is to be like.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Shape {
    /// The disk image. It is read, never written.
    pub image: PathBuf,
    /// The snapshot in the image to start from.
    pub snapshot: Option<String>,
    /// The size of the screen that the guest is told to prefer.
    pub screen_size: (u16, u16),
    /// Memory in MiB.
    pub memory_mb: u32,
    /// Processors.
    pub cpus: u32,
    /// Whether a person can look at it, through VNC.
    pub view: bool,
}

/// Starts machines.
#[derive(Debug)]
pub struct Qemu {
    settings: Arc<Settings>,
    installation: OnceCell<Installation>,
    templates: Templates,
}

impl Qemu {
    /// Nothing is started or looked for yet. Paths in `settings` are absolute.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            templates: Templates::new(settings.template_cache.clone()),
            settings: Arc::new(settings),
            installation: OnceCell::new(),
        }
    }

    /// Makes what guests of this shape start from, unless it is there already: boots the image once. Callers that
    /// give up do not stop it, and all who ask meanwhile wait for the same boot.
    ///
    /// # Errors
    /// [`Error::Missing`] with the package to install; others when the image does not boot.
    pub async fn prepare(&self, shape: &Shape) -> Result<()> {
        let spec = self.spec(shape).await?;
        self.templates.get(&spec).await.map(drop)
    }

    /// Starts a guest, and returns when it has answered to its keyboard.
    ///
    /// # Errors
    /// As of [`prepare`](Self::prepare).
    pub async fn start(&self, shape: &Shape) -> Result<Guest> {
        let spec = self.spec(shape).await?;
        let template = self.templates.get(&spec).await?;
        clone::start(&spec, template).await
    }

    /// Stops boots under way and forgets the templates. Guests that run are not touched.
    pub fn shutdown(&self) {
        self.templates.forget();
    }

    async fn spec(&self, shape: &Shape) -> Result<Spec> {
        let installation = self
            .installation
            .get_or_try_init(Installation::find)
            .await?
            .clone();
        let readable = |file: &PathBuf| std::fs::File::open(file).is_ok();
        let needed = [("vm_path", Some(&shape.image))]
            .into_iter()
            .chain([("kernel", self.settings.kernel.as_ref())])
            .chain([("initrd", self.settings.initrd.as_ref())]);
        for (key, file) in needed {
            if file.is_some_and(|file| !readable(file)) {
                return Err(Error::Config(format!("the file of `{key}` cannot be read")));
            }
        }
        Ok(Spec {
            installation,
            settings: Arc::clone(&self.settings),
            shape: shape.clone(),
        })
    }
}
