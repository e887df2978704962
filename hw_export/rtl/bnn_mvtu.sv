// Matrix, vector, threshold: PE neurons at once, SIMD inputs a clock.
//
// For every output position come GROUPS times the TAPS words under the kernel, CHANNELS levels each (0..HIGHEST, WIDTH
// bits). A neuron counts: an input with weight +1 adds its level, one with weight -1 adds HIGHEST less its level, so the
// count is its sum plus HIGHEST for every -1. It only grows, and so may stop at its largest value: no threshold lies
// above that. THRESHOLD = 1: one bit a neuron leaves, (count >= threshold) != inverted. THRESHOLD = 0 (output layer):
// the counts leave.
//
// Weight memory: word ((group * TAPS + tap) * SLICES + slice) holds {minus, plus}, each PE x SIMD bits, neuron 0 lowest.
// Threshold memory: word (place * GROUPS + group) holds PE entries {inverted, threshold}; PLACES is 1, or the number of
// output positions where thresholds differ by position. Each is in "block" memory, or where synthesis puts it ("auto").
module bnn_mvtu #(
    parameter integer CHANNELS = 1,
    parameter integer WIDTH = 1,
    parameter integer HIGHEST = 1,
    parameter integer TAPS = 1,
    parameter integer OUT_C = 1,
    parameter integer PE = 1,
    parameter integer SIMD = 1,
    parameter integer COUNT_WIDTH = 8,
    parameter integer THRESHOLD = 1,
    parameter integer PLACES = 1,
    parameter WEIGHT_FILE = "weights.mem",
    parameter THRESHOLD_FILE = "thresholds.mem",
    // For synthesis only.
    /* verilator lint_off UNUSEDPARAM */
    parameter WEIGHT_STYLE = "auto",
    parameter THRESHOLD_STYLE = "auto",
    /* verilator lint_on UNUSEDPARAM */
    parameter integer OUT_WIDTH = (THRESHOLD != 0) ? OUT_C : OUT_C * COUNT_WIDTH
) (
    input wire clk,
    input wire rst,
    input wire [CHANNELS*WIDTH-1:0] s_data,
    input wire s_valid,
    output wire s_ready,
    output reg [OUT_WIDTH-1:0] m_data,
    output reg m_valid,
    input wire m_ready
);
  localparam integer SLICES = CHANNELS / SIMD;
  localparam integer GROUPS = OUT_C / PE;
  localparam integer ENTRY = COUNT_WIDTH + 1;
  localparam integer RESULT = (THRESHOLD != 0) ? 1 : COUNT_WIDTH;
  // Bits of what SIMD inputs add.
  localparam integer ADDED_WIDTH = $clog2(SIMD * HIGHEST + 1);
  localparam [WIDTH-1:0] ALL = HIGHEST[WIDTH-1:0];
  localparam integer SUM_WIDTH = ((ADDED_WIDTH > COUNT_WIDTH) ? ADDED_WIDTH : COUNT_WIDTH) + 1;
  localparam [SUM_WIDTH-1:0] MOST = {{(SUM_WIDTH - COUNT_WIDTH) {1'b0}}, {COUNT_WIDTH{1'b1}}};

  (* rom_style = WEIGHT_STYLE *) reg [2*PE*SIMD-1:0] weights[0:GROUPS*TAPS*SLICES-1];
  // The output layer has no thresholds.
  /* verilator lint_off UNUSEDSIGNAL */
  (* rom_style = THRESHOLD_STYLE *) reg [PE*ENTRY-1:0] limits[0:PLACES*GROUPS-1];
  /* verilator lint_on UNUSEDSIGNAL */
  initial begin
    $readmemh(WEIGHT_FILE, weights);
    if (THRESHOLD != 0) $readmemh(THRESHOLD_FILE, limits);
  end

  // Everything stands still while a result waits to leave.
  wire go = !m_valid || m_ready;
  wire step = s_valid && go;
  wire slice_last, tap_last, group_last;
  /* verilator lint_off UNUSEDSIGNAL */
  wire [31:0] slice, tap, group, weight, limit_word;
  wire weight_last, limit_last;
  /* verilator lint_on UNUSEDSIGNAL */
  wire neuron_done = step && slice_last && tap_last;
  assign s_ready = go && slice_last;
  bnn_counter #(.COUNT(SLICES)) count_slice (.clk(clk), .rst(rst), .step(step), .value(slice), .last(slice_last));
  bnn_counter #(.COUNT(TAPS)) count_tap (.clk(clk), .rst(rst), .step(step && slice_last), .value(tap), .last(tap_last));
  bnn_counter #(.COUNT(GROUPS)) count_group (.clk(clk), .rst(rst), .step(neuron_done), .value(group), .last(group_last));
  bnn_counter #(.COUNT(GROUPS * TAPS * SLICES)) count_weight (.clk(clk), .rst(rst), .step(step), .value(weight), .last(weight_last));
  // Thresholds of all positions, or of every position the same.
  bnn_counter #(.COUNT(PLACES * GROUPS)) count_limit (.clk(clk), .rst(rst), .step(neuron_done), .value(limit_word), .last(limit_last));

  // The thresholds that a neuron's last inputs take along.
  /* verilator lint_off UNUSEDSIGNAL */
  wire [PE*ENTRY-1:0] entries = limits[limit_word];
  /* verilator lint_on UNUSEDSIGNAL */

  // Stage 1: the inputs' slice, its weights and, with a neuron's last ones, its threshold.
  reg [SIMD*WIDTH-1:0] inputs;
  reg [2*PE*SIMD-1:0] planes;
  reg busy1, first1, last1, complete1;
  // Stage 2: what each neuron's slice adds.
  reg busy2, first2, last2, complete2;
  wire [PE*RESULT-1:0] results;

  always @(posedge clk)
    if (go) begin
      inputs <= s_data[slice*SIMD*WIDTH+:SIMD*WIDTH];
      planes <= weights[weight];
    end
  genvar lane, i;
  generate
    for (lane = 0; lane < PE; lane = lane + 1) begin : neuron
      wire [SIMD-1:0] plus = planes[lane*SIMD+:SIMD];
      wire [SIMD-1:0] minus = planes[(PE+lane)*SIMD+:SIMD];
      reg [ADDED_WIDTH-1:0] added;
      for (i = 0; i < SIMD; i = i + 1) begin : term
        // As narrow as a level: Yosys would not see that the bits above are 0 after the subtraction.
        wire [WIDTH-1:0] level = inputs[i*WIDTH+:WIDTH];
        wire [WIDTH-1:0] weighed = plus[i] ? level : minus[i] ? ALL - level : {WIDTH{1'b0}};
        wire [ADDED_WIDTH-1:0] carried, sum;
        if (i == 0) begin : start
          assign carried = {ADDED_WIDTH{1'b0}};
        end else begin : link
          assign carried = term[i-1].sum;
        end
        assign sum = carried + {{(ADDED_WIDTH - WIDTH) {1'b0}}, weighed};
      end

      // Stage 3: the count, and with a neuron's last slice its result.
      reg [COUNT_WIDTH-1:0] count;
      wire [SUM_WIDTH-1:0] total = (first2 ? {SUM_WIDTH{1'b0}} : {{(SUM_WIDTH - COUNT_WIDTH) {1'b0}}, count})
                                 + {{(SUM_WIDTH - ADDED_WIDTH) {1'b0}}, added};
      wire [COUNT_WIDTH-1:0] stopped = (total > MOST) ? MOST[COUNT_WIDTH-1:0] : total[COUNT_WIDTH-1:0];
      always @(posedge clk)
        if (go) begin
          added <= term[SIMD-1].sum;
          if (busy2) count <= stopped;
        end
      if (THRESHOLD != 0) begin : compare
        reg [ENTRY-1:0] limit1, limit2;
        always @(posedge clk)
          if (go) begin
            limit1 <= entries[lane*ENTRY+:ENTRY];
            limit2 <= limit1;
          end
        assign results[lane] = (stopped >= limit2[COUNT_WIDTH-1:0]) != limit2[COUNT_WIDTH];
      end else begin : pass
        assign results[lane*COUNT_WIDTH+:COUNT_WIDTH] = stopped;
      end
    end
  endgenerate

  // The word that leaves: each group of neurons enters at its top and moves those before it down.
  /* verilator lint_off UNUSEDSIGNAL */
  wire [OUT_WIDTH+PE*RESULT-1:0] joined = {results, m_data};
  /* verilator lint_on UNUSEDSIGNAL */
  always @(posedge clk) if (go && busy2 && last2) m_data <= joined[OUT_WIDTH+PE*RESULT-1:PE*RESULT];

  always @(posedge clk) begin
    if (go) begin
      first1 <= (slice == 0) && (tap == 0);
      last1 <= slice_last && tap_last;
      complete1 <= slice_last && tap_last && group_last;
      first2 <= first1;
      last2 <= last1;
      complete2 <= complete1;
    end
    if (rst) begin
      busy1 <= 1'b0;
      busy2 <= 1'b0;
      m_valid <= 1'b0;
    end else if (go) begin
      busy1 <= s_valid;
      busy2 <= busy1;
      m_valid <= busy2 && complete2;
    end
  end
endmodule
