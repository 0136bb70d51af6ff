// What a layer does to the rows of a run, in three kernels. `gpu/mod.rs` says which follow each other.
//
// A row is a token: WIDTH numbers that lie one after the other. Measures are constants of a pipeline, so that
// the driver compiles each kernel for the network at hand.

override WIDTH: u32 = 1u;
override INPUTS: u32 = 1u;
override OUTPUTS: u32 = 1u;
override HEAD: u32 = 1u;
override EPSILON: f32 = 1e-12;
override GELU: bool = false;

/// The number of rows of this run; the buffers have room for more.
@group(0) @binding(0) var<uniform> count: u32;
/// For each row, the first row of its text and the one after its last.
@group(0) @binding(1) var<storage, read> texts: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read> given: array<f32>;
@group(0) @binding(3) var<storage, read> weights: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> made: array<f32>;

/// A workgroup makes a square of this many rows and outputs; each of its threads, a square of 4.
const TILE = 64u;
/// It takes so many inputs at a time into its own memory.
const STEP = 16u;

var<workgroup> rows_part: array<f32, 1024>;
var<workgroup> weights_part: array<f32, 1024>;

/// `W x + b`, and the activation where it is wanted. Weights are all of the first output, then all of the second.
@compute @workgroup_size(16, 16)
fn multiply(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) own: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let first_output = group.x * TILE;
    let first_row = group.y * TILE;
    var sums = array<vec4<f32>, 4>();
    for (var first = 0u; first < INPUTS; first += STEP) {
        // Threads beside each other read numbers that lie beside each other.
        for (var at = thread; at < TILE * STEP; at += 256u) {
            let line = at / STEP;
            let input = first + at % STEP;
            let row = first_row + line;
            let output = first_output + line;
            let place = at % STEP * TILE + line;
            // What is outside counts as 0; a `select` would read it all the same.
            rows_part[place] = 0.0;
            if row < count && input < INPUTS {
                rows_part[place] = given[row * INPUTS + input];
            }
            weights_part[place] = 0.0;
            if output < OUTPUTS && input < INPUTS {
                weights_part[place] = weights[output * INPUTS + input];
            }
        }
        workgroupBarrier();
        for (var input = 0u; input < STEP; input++) {
            let w = input * TILE + own.x * 4u;
            let four = vec4(weights_part[w], weights_part[w + 1u], weights_part[w + 2u], weights_part[w + 3u]);
            for (var row = 0u; row < 4u; row++) {
                sums[row] += rows_part[input * TILE + own.y * 4u + row] * four;
            }
        }
        workgroupBarrier();
    }
    for (var row = 0u; row < 4u; row++) {
        for (var output = 0u; output < 4u; output++) {
            let at_row = first_row + own.y * 4u + row;
            let at_output = first_output + own.x * 4u + output;
            if at_row < count && at_output < OUTPUTS {
                var value = sums[row][output] + bias[at_output];
                if GELU {
                    value = gelu(value);
                }
                made[at_row * OUTPUTS + at_output] = value;
            }
        }
    }
}

/// As `gelu` in `math.rs`.
fn gelu(value: f32) -> f32 {
    let x = abs(value) * 0.70710678;
    let t = 1.0 / (1.0 + 0.3275911 * x);
    let sum = ((((1.0614054 * t - 1.4531521) * t + 1.4214138) * t - 0.28449674) * t + 0.2548296) * t;
    let erf = 1.0 - sum * exp(-x * x);
    return value * (0.5 + 0.5 * select(erf, -erf, value < 0.0));
}

/// The largest head, which is the most threads that every device has.
const LARGEST = 256u;
var<workgroup> asking: array<f32, LARGEST>;
var<workgroup> scores: array<f32, LARGEST>;

/// What a row takes from the rows of its text, for one head. Given are query, key and value of each row. A
/// thread has one number of the head; as many keys at a time are met as there are threads, and what was summed
/// up before is scaled down whenever a higher score comes.
@compute @workgroup_size(HEAD)
fn attend(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) own: u32) {
    let row = group.y;
    let first_column = group.x * HEAD;
    let text = texts[row];
    asking[own] = given[row * 3u * WIDTH + first_column + own] / sqrt(f32(HEAD));
    workgroupBarrier();
    var most = -1e30;
    var total = 0.0;
    var sum = 0.0;
    for (var first = text.x; first < text.y; first += HEAD) {
        let keys = min(HEAD, text.y - first);
        if own < keys {
            let key = ((first + own) * 3u + 1u) * WIDTH + first_column;
            var score = 0.0;
            for (var number = 0u; number < HEAD; number++) {
                score += asking[number] * given[key + number];
            }
            scores[own] = score;
        }
        workgroupBarrier();
        var highest = most;
        for (var key = 0u; key < keys; key++) {
            highest = max(highest, scores[key]);
        }
        let fade = exp(most - highest);
        total *= fade;
        sum *= fade;
        for (var key = 0u; key < keys; key++) {
            let share = exp(scores[key] - highest);
            total += share;
            sum += share * given[((first + key) * 3u + 2u) * WIDTH + first_column + own];
        }
        most = highest;
        workgroupBarrier();
    }
    made[row * WIDTH + first_column + own] = sum / total;
}

const NORM_THREADS = 64u;
var<workgroup> parts: array<f32, NORM_THREADS>;

/// Adds the given to a row, and gives it the mean and spread that the layer has learnt.
@compute @workgroup_size(NORM_THREADS)
fn add_and_norm(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) own: u32) {
    let first = group.x * WIDTH;
    var sum = 0.0;
    for (var column = own; column < WIDTH; column += NORM_THREADS) {
        let value = made[first + column] + given[first + column];
        made[first + column] = value;
        sum += value;
    }
    let mean = of_all_threads(own, sum) / f32(WIDTH);
    var spread = 0.0;
    for (var column = own; column < WIDTH; column += NORM_THREADS) {
        let off = made[first + column] - mean;
        spread += off * off;
    }
    let scale = 1.0 / sqrt(of_all_threads(own, spread) / f32(WIDTH) + EPSILON);
    for (var column = own; column < WIDTH; column += NORM_THREADS) {
        made[first + column] = (made[first + column] - mean) * scale * weights[column] + bias[column];
    }
}

fn of_all_threads(own: u32, part: f32) -> f32 {
    parts[own] = part;
    workgroupBarrier();
    for (var half = NORM_THREADS / 2u; half > 0u; half /= 2u) {
        if own < half {
            parts[own] += parts[own + half];
        }
        workgroupBarrier();
    }
    let all = parts[0];
    // The next sum writes where this one was read.
    workgroupBarrier();
    return all;
}
