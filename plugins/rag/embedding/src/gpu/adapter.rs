//! Which graphics card, and what to say when it is not there.

use std::sync::{Arc, Mutex, PoisonError};

use pollster::block_on;
use wgpu::{Adapter, Backends, DeviceDescriptor, DeviceType, Instance, InstanceDescriptor, Limits};

use super::Card;
use crate::ModelError;

/// Which card is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The one of this number, the fastest kind first.
    Card(usize),
    /// A driver that only computes as if there were one: to try the kernels without a card.
    Software,
}

/// Opens a card.
pub(super) fn open(choice: Choice) -> Result<Card, ModelError> {
    let instance = Instance::new(InstanceDescriptor {
        backends: Backends::VULKAN,
        ..InstanceDescriptor::new_without_display_handle()
    });
    let found = block_on(instance.enumerate_adapters(Backends::VULKAN));
    let adapter = choose(choice, found)?;
    let name = adapter.get_info().name;
    // A large model's wide layers have more numbers than every card must be able to take at once.
    let most = adapter.limits();
    let limits = Limits {
        max_buffer_size: most.max_buffer_size,
        max_storage_buffer_binding_size: most.max_storage_buffer_binding_size,
        ..Limits::default()
    };
    let opened = block_on(adapter.request_device(&DeviceDescriptor {
        required_limits: limits,
        ..DeviceDescriptor::default()
    }));
    let (device, queue) = opened.map_err(|error| {
        ModelError::Device(format!(
            "the graphics card {name} cannot be used: {error}; set device to cpu"
        ))
    })?;
    let fault = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&fault);
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
        let mut fault = noted.lock().unwrap_or_else(PoisonError::into_inner);
        // The first is the cause of the others.
        fault.get_or_insert_with(|| error.to_string());
    }));
    Ok(Card {
        device,
        queue,
        fault,
    })
}

fn choose(choice: Choice, found: Vec<Adapter>) -> Result<Adapter, ModelError> {
    let (software, mut cards): (Vec<Adapter>, Vec<Adapter>) = found
        .into_iter()
        .partition(|adapter| adapter.get_info().device_type == DeviceType::Cpu);
    let passed_over = software.first().map(|adapter| adapter.get_info().name);
    cards.sort_by_key(|adapter| match adapter.get_info().device_type {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        _ => 2,
    });
    let names: Vec<String> = cards.iter().map(|card| card.get_info().name).collect();
    let (wanted, mut from) = match choice {
        Choice::Card(number) => (number, cards),
        Choice::Software => (0, software),
    };
    if wanted < from.len() {
        return Ok(from.swap_remove(wanted));
    }
    Err(ModelError::Device(missing(wanted, &names, passed_over)))
}

/// What to do when there is no such card.
fn missing(wanted: usize, names: &[String], passed_over: Option<String>) -> String {
    if names.is_empty() {
        let only = passed_over.map_or_else(String::new, |name| {
            format!(", only {name}, which runs on the CPU itself")
        });
        return format!(
            "no graphics card with a Vulkan driver was found{only}: install the card's driver (Debian's \
             package mesa-vulkan-drivers, for NVIDIA nvidia-vulkan-icd), or set device to cpu"
        );
    }
    let there: Vec<String> = (0..)
        .zip(names)
        .map(|(number, name)| format!("gpu:{number} is {name}"))
        .collect();
    format!(
        "there is no graphics card gpu:{wanted}; {}",
        there.join(", ")
    )
}
