//! Images first: as long as one cannot be had, nothing is touched.

use std::collections::BTreeMap;

use constellation_core::{ServiceId, error_chain};
use constellation_docker::RuntimeError;
use futures::{StreamExt, stream};

use super::event::{Happening, Watcher};
use crate::{
    host::Host,
    language::{BuildSource, Image, Pull},
    problem::Problem,
    render::Rendered,
};

/// Pulls at once: registries slow down who asks for more.
const PULLS: usize = 4;

/// Which images are fetched although they are here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fetch {
    /// None of them.
    Missing,
    /// Those whose definition says so (`Pull::Always`).
    #[default]
    AsDefined,
    /// All of them.
    All,
}

/// Makes sure that the images of these services are here.
///
/// # Errors
/// One problem for each service whose image cannot be had.
pub async fn fetch(
    host: &dyn Host,
    services: impl IntoIterator<Item = &Rendered>,
    fetch: Fetch,
    watcher: &dyn Watcher,
) -> Result<(), Vec<Problem>> {
    let mut images: BTreeMap<&str, (&Image, Vec<&ServiceId>)> = BTreeMap::new();
    for service in services {
        let entry = images.entry(service.image.reference()).or_insert((&service.image, Vec::new()));
        entry.1.push(&service.id);
    }
    let problems: Vec<Vec<Problem>> = stream::iter(images.into_values())
        .map(|(image, users)| async move {
            match one(host, image, fetch, watcher).await {
                Ok(()) => Vec::new(),
                Err(error) => users.iter().map(|id| problem(id, image, &error)).collect(),
            }
        })
        .buffer_unordered(PULLS)
        .collect()
        .await;
    let mut problems: Vec<Problem> = problems.into_iter().flatten().collect();
    problems.sort();
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

async fn one(
    host: &dyn Host,
    image: &Image,
    fetch: Fetch,
    watcher: &dyn Watcher,
) -> Result<(), RuntimeError> {
    let reference = image.reference();
    let forced = match image.pull {
        Pull::Always => fetch != Fetch::Missing,
        Pull::Missing => fetch == Fetch::All,
        Pull::Never => false,
    };
    let is_here = host.image_id(reference).await?.is_some();
    if is_here && !forced {
        return Ok(());
    }
    let mut progress =
        |progress| watcher.tell(Happening::Image { reference: reference.to_owned(), progress });
    if let Some(build) = &image.build {
        let folder = tar_of(&build.source)?;
        host.build(image, folder, &mut progress).await?;
    } else if image.pull == Pull::Never {
        return Err(RuntimeError::ImageNotFound { image: reference.to_owned() });
    } else {
        host.pull(reference, &mut progress).await?;
    }
    watcher.tell(Happening::ImageReady { reference: reference.to_owned() });
    Ok(())
}

/// What an image is built of, as an archive.
fn tar_of(source: &BuildSource) -> Result<Vec<u8>, RuntimeError> {
    let mut archive = tar::Builder::new(Vec::new());
    match source {
        BuildSource::Folder(folder) => {
            archive.follow_symlinks(false);
            archive.append_dir_all(".", folder).map_err(|source| RuntimeError::Io {
                deed: format!("read the build folder {folder}"),
                source,
            })?;
        }
        BuildSource::Files(files) => {
            for (name, content) in files {
                let mut header = tar::Header::new_gnu();
                header.set_size(content.len() as u64);
                header.set_mode(0o755);
                archive.append_data(&mut header, name, content.as_slice()).map_err(packing)?;
            }
        }
    }
    archive.into_inner().map_err(packing)
}

fn packing(source: std::io::Error) -> RuntimeError {
    RuntimeError::Io { deed: "pack what the image is built of".to_owned(), source }
}

fn problem(service: &ServiceId, image: &Image, error: &RuntimeError) -> Problem {
    let what = format!("`{}` cannot be had: {}", image.reference(), error_chain(error));
    let advice = match (&image.build, image.pull) {
        (Some(_), _) => "mend the build",
        (None, Pull::Never) => "build or load it on this machine, or let it be pulled",
        (None, _) => "check its name, the line to the registry, and `docker login`",
    };
    Problem::new(service.to_string(), "image", what, advice)
}
