//! A chart: as a packed archive where the input looks like one, as an archive that is packed here, and as files with
//! `=== path` between them. What loads is rendered.
#![no_main]

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use helm_engine::values::Map;
use helm_engine::{ChartFiles, load_archive, load_files};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if input.starts_with(&[0x1f, 0x8b]) {
        load(input);
        return;
    }
    let tar = if input.len() > 512 && input.get(257..262) == Some(b"ustar") {
        mended(input)
    } else {
        let mut files = ChartFiles::new();
        for (path, data) in sluice_fuzz::files(input, "Chart.yaml") {
            files.insert(path, data);
        }
        if let Ok(chart) = load_files(&files) {
            sluice_fuzz::render(&chart, &Map::new());
        }
        packed(input)
    };
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    if gzip.write_all(&tar).is_ok()
        && let Ok(archive) = gzip.finish()
    {
        load(&archive);
    }
});

fn load(archive: &[u8]) {
    if let Ok(chart) = load_archive(archive) {
        sluice_fuzz::render(&chart, &Map::new());
    }
}

/// The same archive with checksums that are right, so that changes get further.
fn mended(input: &[u8]) -> Vec<u8> {
    let mut tar = input.to_vec();
    for block in tar.chunks_exact_mut(512) {
        if block[257..262] == *b"ustar" {
            let mut header = tar::Header::from_byte_slice(block).clone();
            header.set_cksum();
            block.copy_from_slice(header.as_bytes());
        }
    }
    tar
}

/// An archive of the files.
fn packed(input: &[u8]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, data) in sluice_fuzz::files(input, "Chart.yaml") {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_cksum();
        // A path that does not fit into an archive leaves its file out.
        drop(archive.append_data(&mut header, format!("app/{path}"), data));
    }
    archive.into_inner().unwrap_or_default()
}
