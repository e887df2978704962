// Sliding window, all at once: for every output position one word with all the words under the kernel, tap (row, column)
// in bits [(row * KERNEL_W + column) * WIDTH +: WIDTH]; zero on padding.
//
// Every row has a memory of its own. A column of KERNEL_H words is read in a clock and shifted in from the right, so an
// output row takes as many clocks as its kernel sweeps columns.
module bnn_patch #(
    parameter integer WIDTH = 1,
    parameter integer IN_H = 1,
    parameter integer IN_W = 1,
    parameter integer KERNEL_H = 1,
    parameter integer KERNEL_W = 1,
    parameter integer STRIDE_H = 1,
    parameter integer STRIDE_W = 1,
    parameter integer PAD_H = 0,
    parameter integer PAD_W = 0,
    parameter integer OUT_H = 1,
    parameter integer OUT_W = 1,
    parameter integer ROWS = 2
) (
    input wire clk,
    input wire rst,
    input wire [WIDTH-1:0] s_data,
    input wire s_valid,
    output wire s_ready,
    output reg [KERNEL_H*KERNEL_W*WIDTH-1:0] m_data,
    output reg m_valid,
    input wire m_ready
);
  localparam integer SLOT_WIDTH = (ROWS > 1) ? $clog2(ROWS) : 1;
  localparam integer SWEPT = (OUT_W - 1) * STRIDE_W + KERNEL_W;

  wire take, rows_ready, row_done;
  wire [31:0] in_slot, oldest;
  /* verilator lint_off UNUSEDSIGNAL */
  wire [31:0] in_column;
  /* verilator lint_on UNUSEDSIGNAL */
  wire signed [31:0] top, kept;
  bnn_rows #(
      .IN_H(IN_H), .IN_W(IN_W), .KERNEL_H(KERNEL_H), .STRIDE_H(STRIDE_H), .PAD_H(PAD_H), .OUT_H(OUT_H), .ROWS(ROWS)
  ) rows (
      .clk(clk), .rst(rst), .s_valid(s_valid), .s_ready(s_ready), .take(take), .in_slot(in_slot), .in_column(in_column),
      .row_done(row_done), .ready(rows_ready), .top(top), .kept(kept), .oldest(oldest)
  );

  // Everything stands still while a patch waits to leave.
  wire go = !m_valid || m_ready;
  wire step = rows_ready && go;
  wire swept_last;
  wire [31:0] swept;
  assign row_done = step && swept_last;
  bnn_counter #(.COUNT(SWEPT)) count_swept (.clk(clk), .rst(rst), .step(step), .value(swept), .last(swept_last));
  // Columns until the next patch is complete, from the first complete one on.
  wire first_complete = (swept + 1 >= KERNEL_W);
  /* verilator lint_off UNUSEDSIGNAL */
  wire phase_last;
  wire [31:0] phase;
  /* verilator lint_on UNUSEDSIGNAL */
  bnn_counter #(.COUNT(STRIDE_W)) count_phase (.clk(clk), .rst(rst || row_done), .step(step && first_complete), .value(phase), .last(phase_last));
  wire complete = first_complete && (phase == 0);

  // The column's words by slot, a clock after it is chosen.
  wire signed [31:0] x = $signed(swept) - PAD_W;
  wire on_column = (x >= 0) && (x < IN_W);
  /* verilator lint_off UNUSEDSIGNAL */
  wire [31:0] address = on_column ? x : 32'd0;
  /* verilator lint_on UNUSEDSIGNAL */
  wire [ROWS*WIDTH-1:0] words;
  genvar slot;
  generate
    for (slot = 0; slot < ROWS; slot = slot + 1) begin : row_memory
      reg [WIDTH-1:0] memory[0:IN_W-1];
      reg [WIDTH-1:0] word;
      always @(posedge clk) if (take && in_slot == slot) memory[in_column] <= s_data;
      always @(posedge clk) if (step) word <= memory[address];
      assign words[slot*WIDTH+:WIDTH] = word;
    end
  endgenerate

  // The same in the kernel's order, top row first.
  wire [KERNEL_H*WIDTH-1:0] entering;
  genvar tap_row;
  generate
    for (tap_row = 0; tap_row < KERNEL_H; tap_row = tap_row + 1) begin : tap
      wire signed [31:0] y = top + tap_row;
      wire [31:0] turn = oldest + (y - kept);
      /* verilator lint_off UNUSEDSIGNAL */
      wire [31:0] wrapped = (turn >= ROWS) ? turn - ROWS : turn;
      /* verilator lint_on UNUSEDSIGNAL */
      reg [SLOT_WIDTH-1:0] place;
      reg padding;
      always @(posedge clk)
        if (step) begin
          place <= wrapped[SLOT_WIDTH-1:0];
          padding <= !(on_column && y >= 0 && y < IN_H);
        end
      assign entering[tap_row*WIDTH+:WIDTH] = padding ? {WIDTH{1'b0}} : words[place*WIDTH+:WIDTH];
    end
  endgenerate

  reg read, read_complete;
  integer r, c;
  always @(posedge clk) begin
    if (go && read)
      for (r = 0; r < KERNEL_H; r = r + 1) begin
        for (c = 0; c < KERNEL_W - 1; c = c + 1) m_data[(r*KERNEL_W+c)*WIDTH+:WIDTH] <= m_data[(r*KERNEL_W+c+1)*WIDTH+:WIDTH];
        m_data[(r*KERNEL_W+KERNEL_W-1)*WIDTH+:WIDTH] <= entering[r*WIDTH+:WIDTH];
      end
    if (rst) begin
      read <= 1'b0;
      m_valid <= 1'b0;
    end else if (go) begin
      read <= step;
      m_valid <= read && read_complete;
    end
    if (step) read_complete <= complete;
  end
endmodule
