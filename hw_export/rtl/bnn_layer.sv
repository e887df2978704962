// One layer of the network: a convolution of ternary weights with levels or bits. A dense layer is a convolution whose
// kernel covers its whole input, so both are this module.
//
// A frame of IN_H x IN_W words (one per position, row by row, channel c in bits [c*IN_WIDTH +: IN_WIDTH]) is loaded, then
// every output position takes GROUPS passes over the kernel's taps; a pass computes LANES output channels, one tap of
// all input channels per clock. A tap that falls on padding adds nothing. THRESHOLD = 1: one bit per channel leaves,
// acc >= t or, where the direction bit is set, acc <= t. THRESHOLD = 0 (output layer): the accumulators leave.
//
// Weight memory: word (group * TAPS + tap) holds {minus, plus}, each LANES x IN_C bits, lane 0 lowest.
// Threshold memory: word (place * GROUPS + group) holds LANES entries {direction, threshold}; PLACES is 1, or the number
// of output positions where thresholds differ by position.
module bnn_layer #(
    parameter integer IN_H = 1,
    parameter integer IN_W = 1,
    parameter integer IN_C = 1,
    parameter integer IN_WIDTH = 1,
    parameter integer KERNEL_H = 1,
    parameter integer KERNEL_W = 1,
    parameter integer STRIDE_H = 1,
    parameter integer STRIDE_W = 1,
    parameter integer PAD_H = 0,
    parameter integer PAD_W = 0,
    parameter integer OUT_H = 1,
    parameter integer OUT_W = 1,
    parameter integer OUT_C = 1,
    parameter integer LANES = 1,
    parameter integer ACC_WIDTH = 8,
    parameter integer THRESHOLD = 1,
    parameter integer PLACES = 1,
    parameter WEIGHT_FILE = "weights.mem",
    parameter THRESHOLD_FILE = "thresholds.mem",
    parameter integer OUT_WIDTH = (THRESHOLD != 0) ? OUT_C : OUT_C * ACC_WIDTH
) (
    input wire clk,
    input wire rst,
    input wire [IN_C*IN_WIDTH-1:0] s_data,
    input wire s_valid,
    output wire s_ready,
    output reg [OUT_WIDTH-1:0] m_data,
    output reg m_valid,
    input wire m_ready
);
  localparam integer TAPS = KERNEL_H * KERNEL_W;
  localparam integer GROUPS = OUT_C / LANES;
  localparam integer ENTRY = ACC_WIDTH + 1;
  localparam integer RESULT = (THRESHOLD != 0) ? 1 : ACC_WIDTH;
  localparam [1:0] LOAD = 2'd0, RUN = 2'd1, DRAIN = 2'd2, SEND = 2'd3;

  reg [IN_C*IN_WIDTH-1:0] frame[0:IN_H*IN_W-1];
  reg [2*LANES*IN_C-1:0] weights[0:GROUPS*TAPS-1];
  reg [LANES*ENTRY-1:0] limits[0:PLACES*GROUPS-1];
  initial begin
    $readmemh(WEIGHT_FILE, weights);
    if (THRESHOLD != 0) $readmemh(THRESHOLD_FILE, limits);
  end

  // Counters and addresses have 32 bits whatever the sizes (synthesis trims them), and the output layer has no limits.
  /* verilator lint_off UNUSEDSIGNAL */
  reg [1:0] state;
  reg [31:0] loaded;
  reg [31:0] row, column, group, tap_row, tap_column, tap;
  assign s_ready = (state == LOAD);

  // Which input position this tap reads; it may lie on padding.
  wire signed [31:0] y = $signed(row * STRIDE_H + tap_row) - PAD_H;
  wire signed [31:0] x = $signed(column * STRIDE_W + tap_column) - PAD_W;
  wire on_image = (y >= 0) && (y < IN_H) && (x >= 0) && (x < IN_W);
  wire [31:0] address = on_image ? (y * IN_W + x) : 32'd0;
  wire [31:0] place = (PLACES == 1) ? 32'd0 : row * OUT_W + column;
  wire last_tap = (tap == TAPS - 1);
  wire last_group = (group == GROUPS - 1);

  // Stage 1: memories are read. Stage 2: the lanes add.
  reg [IN_C*IN_WIDTH-1:0] word;
  reg [2*LANES*IN_C-1:0] planes;
  reg [LANES*ENTRY-1:0] limit;
  reg [31:0] result_group;
  reg busy, first, final_tap;
  /* verilator lint_on UNUSEDSIGNAL */

  wire [LANES*RESULT-1:0] results;
  genvar lane;
  generate
    for (lane = 0; lane < LANES; lane = lane + 1) begin : lanes
      wire [IN_C-1:0] plus = planes[lane*IN_C+:IN_C];
      wire [IN_C-1:0] minus = planes[(LANES+lane)*IN_C+:IN_C];
      reg signed [ACC_WIDTH-1:0] acc;
      reg signed [ACC_WIDTH-1:0] sum;
      integer c;
      always @* begin
        sum = first ? {ACC_WIDTH{1'b0}} : acc;
        for (c = 0; c < IN_C; c = c + 1) begin
          if (plus[c]) sum = sum + $signed({{(ACC_WIDTH-IN_WIDTH){1'b0}}, word[c*IN_WIDTH+:IN_WIDTH]});
          if (minus[c]) sum = sum - $signed({{(ACC_WIDTH-IN_WIDTH){1'b0}}, word[c*IN_WIDTH+:IN_WIDTH]});
        end
      end
      always @(posedge clk) if (busy) acc <= sum;
      if (THRESHOLD != 0) begin : compare
        wire signed [ACC_WIDTH-1:0] t = $signed(limit[lane*ENTRY+:ACC_WIDTH]);
        assign results[lane] = limit[lane*ENTRY+ACC_WIDTH] ? (sum <= t) : (sum >= t);
      end else begin : pass
        assign results[lane*ACC_WIDTH+:ACC_WIDTH] = sum;
      end
    end
  endgenerate

  always @(posedge clk) begin
    busy <= (state == RUN);
    word <= on_image ? frame[address] : {(IN_C * IN_WIDTH) {1'b0}};
    planes <= weights[group*TAPS+tap];
    limit <= limits[(THRESHOLD != 0) ? place * GROUPS + group : 32'd0];
    result_group <= group;
    first <= (tap == 0);
    final_tap <= last_tap;
    if (busy && final_tap) m_data[result_group*LANES*RESULT+:LANES*RESULT] <= results;

    case (state)
      LOAD:
      if (s_valid) begin
        frame[loaded] <= s_data;
        loaded <= (loaded == IN_H * IN_W - 1) ? 0 : loaded + 1;
        if (loaded == IN_H * IN_W - 1) state <= RUN;
      end
      RUN: begin
        tap <= last_tap ? 0 : tap + 1;
        tap_column <= (tap_column == KERNEL_W - 1) ? 0 : tap_column + 1;
        if (tap_column == KERNEL_W - 1) tap_row <= last_tap ? 0 : tap_row + 1;
        if (last_tap) begin
          group <= last_group ? 0 : group + 1;
          if (last_group) state <= DRAIN;
        end
      end
      DRAIN: begin
        m_valid <= 1'b1;
        state   <= SEND;
      end
      default:
      if (m_ready) begin
        m_valid <= 1'b0;
        column <= (column == OUT_W - 1) ? 0 : column + 1;
        if (column == OUT_W - 1) row <= (row == OUT_H - 1) ? 0 : row + 1;
        state <= (column == OUT_W - 1 && row == OUT_H - 1) ? LOAD : RUN;
      end
    endcase
    if (rst) begin
      state <= LOAD;
      busy <= 1'b0;
      m_valid <= 1'b0;
      loaded <= 0;
      row <= 0;
      column <= 0;
      group <= 0;
      tap <= 0;
      tap_row <= 0;
      tap_column <= 0;
    end
  end
endmodule
