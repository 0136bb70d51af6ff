//! The same vectors as on the CPU. Run with `--features gpu` where a software Vulkan driver is installed (Debian's
//! package mesa-vulkan-drivers); a graphics card is tried too where there is one.

use crate::{Device, Kind, Model, ModelError, testkit::model_folder};

fn vectors(model: &Model, texts: &[&str]) -> Vec<Vec<f32>> {
    let tokens = texts.iter().map(|text| model.tokens(Kind::Passage, text));
    model.embed(&tokens.collect::<Vec<_>>()).unwrap()
}

/// Runs of less than a tile and of several; texts that are shorter and longer than a head.
fn same_as_on_the_cpu(device: Device) -> Result<(), ModelError> {
    let on_card = Model::load(&model_folder(), device)?;
    let on_cpu = Model::load(&model_folder(), Device::Cpu).unwrap();
    assert_eq!(on_card.identity(), on_cpu.identity());
    let long = "The quick brown fox jumps over the lazy dog. ".repeat(12);
    let texts = [
        "a",
        "How do plants turn sunlight into energy?",
        &long,
        "",
        "光合作用",
    ];
    for texts in [&texts[..1], &texts] {
        let (ours, expected) = (vectors(&on_card, texts), vectors(&on_cpu, texts));
        assert_eq!(ours.len(), expected.len());
        for (ours, expected) in ours.iter().flatten().zip(expected.iter().flatten()) {
            assert!((ours - expected).abs() < 1e-5, "{ours}, {expected}");
        }
    }
    Ok(())
}

#[test]
fn a_software_driver_makes_the_same_vectors() {
    same_as_on_the_cpu(Device::Software).unwrap();
}

/// Where there is no card, what is asked of one says what to do.
#[test]
fn a_card_makes_the_same_vectors_or_is_missed() {
    if let Err(error) = same_as_on_the_cpu(Device::Gpu(0)) {
        let error = error.to_string();
        assert!(
            error.starts_with("no graphics card") && error.contains("set device to cpu"),
            "{error}"
        );
    }
    let error = Model::load(&model_folder(), Device::Gpu(99)).err().unwrap();
    assert!(matches!(error, ModelError::Device(_)), "{error}");
}

#[test]
fn many_threads_share_a_card() {
    let model = Model::load(&model_folder(), Device::Software).unwrap();
    let texts = [
        "one",
        "two and more",
        "How do plants turn sunlight into energy?",
    ];
    let expected = texts.map(|text| vectors(&model, &[text]));
    std::thread::scope(|scope| {
        for (text, expected) in texts.iter().zip(&expected) {
            let model = &model;
            scope.spawn(move || {
                for _ in 0..2 {
                    assert_eq!(vectors(model, &[text]), *expected);
                }
            });
        }
    });
}
