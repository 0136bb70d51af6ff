//! The layers on a graphics card, of any maker: by `wgpu`, over Vulkan.
//!
//! The weights stay in the card's memory. A run writes its rows there, goes through the [`Step`]s, all
//! prepared when the model was loaded, and reads the rows back. `kernels.wgsl` is what the card does;
//! `adapter` chooses the card.

mod adapter;
#[cfg(test)]
mod tests;

use std::{
    io,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use pulp::bytemuck::{bytes_of, cast_slice};
use wgpu::{
    BindGroup, BindGroupDescriptor, BindGroupEntry, Buffer, BufferDescriptor, BufferUsages,
    ComputePipeline, ComputePipelineDescriptor, Device, MapMode, PipelineCompilationOptions,
    PollType, Queue, ShaderModule, include_wgsl,
    util::{BufferInitDescriptor, DeviceExt as _},
};

pub(crate) use self::adapter::Choice;
use crate::{
    ModelError,
    folder::Shape,
    model::TOKENS_PER_RUN,
    transformer::{Dense, LayerWeights, Layers, Norm},
};

/// As in `kernels.wgsl`.
const TILE: usize = 64;
const LARGEST_HEAD: usize = 256;
/// A card that needs longer for a thousand tokens hangs.
const PATIENCE: Duration = Duration::from_mins(1);

/// The layers, ready to be run.
pub(crate) struct Gpu {
    card: Card,
    width: usize,
    memory: Memory,
    steps: Vec<Step>,
    /// There is one set of buffers, so one run at a time.
    running: Mutex<()>,
}

/// An open card.
struct Card {
    device: Device,
    queue: Queue,
    /// What it said was wrong; else `wgpu` would panic.
    fault: Arc<Mutex<Option<String>>>,
}

/// What a run works on.
struct Memory {
    count: Buffer,
    texts: Buffer,
    rows: Buffer,
    attention: Buffer,
    attended: Buffer,
    wide: Buffer,
    out: Buffer,
    /// Where the rows are read.
    result: Buffer,
}

/// One kernel with what it reads and writes.
struct Step {
    pipeline: ComputePipeline,
    buffers: BindGroup,
    groups: Groups,
}

/// How many workgroups a number of rows needs.
#[derive(Clone, Copy)]
enum Groups {
    /// One for each square of rows and of so many outputs.
    Tiles(usize),
    /// One for each row and each of so many heads.
    Heads(usize),
    /// One for each row.
    Rows,
}

/// The kernels, compiled for a network.
struct Kernels {
    attention: ComputePipeline,
    attend: ComputePipeline,
    attended: ComputePipeline,
    wide: ComputePipeline,
    narrow: ComputePipeline,
    norm: ComputePipeline,
}

impl Gpu {
    /// Brings the layers to the card.
    pub(crate) fn load(
        choice: Choice,
        shape: &Shape,
        layers: impl Iterator<Item = Result<LayerWeights, ModelError>>,
    ) -> Result<Self, ModelError> {
        if shape.width / shape.heads > LARGEST_HEAD {
            return Err(ModelError::Device(format!(
                "heads of more than {LARGEST_HEAD} numbers run on the CPU only; set device to cpu"
            )));
        }
        let card = adapter::open(choice)?;
        let memory = Memory::new(&card.device, shape);
        let kernels = Kernels::compile(&card.device, shape);
        let mut steps = Vec::new();
        for layer in layers {
            steps.extend(card.steps(&kernels, &memory, shape, &layer?));
        }
        card.check()
            .map_err(|fault| ModelError::Device(format!("{fault}; set device to cpu")))?;
        Ok(Self {
            card,
            width: shape.width,
            memory,
            steps,
            running: Mutex::new(()),
        })
    }
}

impl Layers for Gpu {
    fn run(&self, mut rows: Vec<f32>, texts: &[Range<usize>]) -> io::Result<Vec<f32>> {
        if rows.is_empty() {
            return Ok(rows);
        }
        let _running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let (device, queue, memory) = (&self.card.device, &self.card.queue, &self.memory);
        let count = rows.len() / self.width;
        let texts: Vec<[u32; 2]> = texts
            .iter()
            .map(|text| [number(text.start), number(text.end)])
            .collect();
        queue.write_buffer(&memory.count, 0, bytes_of(&number(count)));
        queue.write_buffer(&memory.texts, 0, cast_slice(&texts));
        queue.write_buffer(&memory.rows, 0, cast_slice(&rows));
        let mut commands = device.create_command_encoder(&Default::default());
        let mut pass = commands.begin_compute_pass(&Default::default());
        for step in &self.steps {
            pass.set_pipeline(&step.pipeline);
            pass.set_bind_group(0, &step.buffers, &[]);
            let (x, y) = step.groups.of(count);
            pass.dispatch_workgroups(number(x), number(y), 1);
        }
        drop(pass);
        let bytes = size_of_val(rows.as_slice()) as u64;
        commands.copy_buffer_to_buffer(&memory.rows, 0, &memory.result, 0, bytes);
        queue.submit([commands.finish()]);
        // When the wait is over it is mapped, or reading what is not mapped says so.
        memory.result.map_async(MapMode::Read, ..bytes, |_| {});
        let waited = device.poll(PollType::Wait {
            submission_index: None,
            timeout: Some(PATIENCE),
        });
        self.card.check().map_err(io::Error::other)?;
        waited.map_err(io::Error::other)?;
        let mapped = memory.result.get_mapped_range(..bytes);
        rows.copy_from_slice(cast_slice(&mapped.map_err(io::Error::other)?));
        memory.result.unmap();
        Ok(rows)
    }
}

impl Card {
    /// Fails with what went wrong since it was last asked.
    fn check(&self) -> Result<(), String> {
        let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        fault
            .take()
            .map_or(Ok(()), |fault| Err(format!("the graphics card: {fault}")))
    }

    fn steps(
        &self,
        kernels: &Kernels,
        memory: &Memory,
        shape: &Shape,
        layer: &LayerWeights,
    ) -> [Step; 7] {
        let dense = |kernel: &ComputePipeline, weights: &Dense, from, to| {
            let buffers = [
                (0, &memory.count),
                (2, from),
                (3, &self.weights(&weights.weights)),
                (4, &self.weights(&weights.bias)),
                (5, to),
            ];
            let groups = Groups::Tiles(weights.bias.len());
            self.step(kernel, &buffers, groups)
        };
        let norm = |weights: &Norm| {
            let buffers = [
                (2, &memory.out),
                (3, &self.weights(&weights.weight)),
                (4, &self.weights(&weights.bias)),
                (5, &memory.rows),
            ];
            self.step(&kernels.norm, &buffers, Groups::Rows)
        };
        let attend = [
            (1, &memory.texts),
            (2, &memory.attention),
            (5, &memory.attended),
        ];
        [
            dense(
                &kernels.attention,
                &layer.attention,
                &memory.rows,
                &memory.attention,
            ),
            self.step(&kernels.attend, &attend, Groups::Heads(shape.heads)),
            dense(
                &kernels.attended,
                &layer.attended,
                &memory.attended,
                &memory.out,
            ),
            norm(&layer.attended_norm),
            dense(&kernels.wide, &layer.wide, &memory.rows, &memory.wide),
            dense(&kernels.narrow, &layer.narrow, &memory.wide, &memory.out),
            norm(&layer.narrow_norm),
        ]
    }

    fn step(&self, kernel: &ComputePipeline, buffers: &[(u32, &Buffer)], groups: Groups) -> Step {
        let entries: Vec<_> = buffers
            .iter()
            .map(|(binding, buffer)| BindGroupEntry {
                binding: *binding,
                resource: buffer.as_entire_binding(),
            })
            .collect();
        Step {
            buffers: self.device.create_bind_group(&BindGroupDescriptor {
                label: None,
                layout: &kernel.get_bind_group_layout(0),
                entries: &entries,
            }),
            pipeline: kernel.clone(),
            groups,
        }
    }

    fn weights(&self, weights: &[f32]) -> Buffer {
        self.device.create_buffer_init(&BufferInitDescriptor {
            label: None,
            contents: cast_slice(weights),
            usage: BufferUsages::STORAGE,
        })
    }
}

impl Memory {
    fn new(device: &Device, shape: &Shape) -> Self {
        // A run is of at most so many tokens, or of one text.
        let most = shape.tokens.max(TOKENS_PER_RUN);
        let buffer = |bytes: usize, usage| {
            device.create_buffer(&BufferDescriptor {
                label: None,
                size: bytes as u64,
                usage,
                mapped_at_creation: false,
            })
        };
        let (width, between) = (most * shape.width * size_of::<f32>(), BufferUsages::STORAGE);
        let written = BufferUsages::COPY_DST;
        Self {
            count: buffer(size_of::<u32>(), BufferUsages::UNIFORM | written),
            texts: buffer(most * size_of::<[u32; 2]>(), between | written),
            rows: buffer(width, between | written | BufferUsages::COPY_SRC),
            attention: buffer(3 * width, between),
            attended: buffer(width, between),
            wide: buffer(most * shape.wide * size_of::<f32>(), between),
            out: buffer(width, between),
            result: buffer(width, BufferUsages::MAP_READ | written),
        }
    }
}

impl Kernels {
    fn compile(device: &Device, shape: &Shape) -> Self {
        let module = device.create_shader_module(include_wgsl!("kernels.wgsl"));
        let multiply = |inputs, outputs, gelu| {
            let constants = [
                ("INPUTS", float(inputs)),
                ("OUTPUTS", float(outputs)),
                ("GELU", f64::from(u8::from(gelu))),
            ];
            pipeline(device, &module, "multiply", &constants)
        };
        let (width, wide) = (shape.width, shape.wide);
        let head = [
            ("WIDTH", float(width)),
            ("HEAD", float(width / shape.heads)),
        ];
        let norm = [
            ("WIDTH", float(width)),
            ("EPSILON", f64::from(shape.epsilon)),
        ];
        Self {
            attention: multiply(width, 3 * width, false),
            attend: pipeline(device, &module, "attend", &head),
            attended: multiply(width, width, false),
            wide: multiply(width, wide, true),
            narrow: multiply(wide, width, false),
            norm: pipeline(device, &module, "add_and_norm", &norm),
        }
    }
}

fn pipeline(
    device: &Device,
    module: &ShaderModule,
    kernel: &str,
    constants: &[(&str, f64)],
) -> ComputePipeline {
    device.create_compute_pipeline(&ComputePipelineDescriptor {
        label: Some(kernel),
        layout: None,
        module,
        entry_point: Some(kernel),
        compilation_options: PipelineCompilationOptions {
            constants,
            // All of it is written before it is read.
            zero_initialize_workgroup_memory: false,
        },
        cache: None,
    })
}

impl Groups {
    fn of(self, rows: usize) -> (usize, usize) {
        match self {
            Self::Tiles(outputs) => (outputs.div_ceil(TILE), rows.div_ceil(TILE)),
            Self::Heads(heads) => (heads, rows),
            Self::Rows => (rows, 1),
        }
    }
}

/// Counts of rows and groups are far below a card's limits.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn float(count: usize) -> f64 {
    f64::from(number(count))
}
