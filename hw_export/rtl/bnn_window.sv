// Sliding window, word by word: for every output position, PASSES times, the words under the kernel, row by row; zero on
// padding. A dense layer is a window that covers all its input (one position).
module bnn_window #(
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
    parameter integer PASSES = 1,
    parameter integer ROWS = 2
) (
    input wire clk,
    input wire rst,
    input wire [WIDTH-1:0] s_data,
    input wire s_valid,
    output wire s_ready,
    output wire [WIDTH-1:0] m_data,
    output reg m_valid,
    input wire m_ready
);
  reg [WIDTH-1:0] ring[0:ROWS*IN_W-1];

  wire take, rows_ready, row_done;
  wire [31:0] in_slot, in_column, oldest;
  wire signed [31:0] top, kept;
  bnn_rows #(
      .IN_H(IN_H), .IN_W(IN_W), .KERNEL_H(KERNEL_H), .STRIDE_H(STRIDE_H), .PAD_H(PAD_H), .OUT_H(OUT_H), .ROWS(ROWS)
  ) rows (
      .clk(clk), .rst(rst), .s_valid(s_valid), .s_ready(s_ready), .take(take), .in_slot(in_slot), .in_column(in_column),
      .row_done(row_done), .ready(rows_ready), .top(top), .kept(kept), .oldest(oldest)
  );

  // Which tap of which position.
  wire step = rows_ready && (!m_valid || m_ready);
  wire tap_column_last, tap_row_last, pass_last, column_last;
  wire [31:0] tap_column, tap_row, column;
  wire position_done = step && tap_column_last && tap_row_last && pass_last;
  assign row_done = position_done && column_last;
  /* verilator lint_off UNUSEDSIGNAL */
  wire [31:0] pass;
  /* verilator lint_on UNUSEDSIGNAL */
  bnn_counter #(.COUNT(KERNEL_W)) count_tap_column (.clk(clk), .rst(rst), .step(step), .value(tap_column), .last(tap_column_last));
  bnn_counter #(.COUNT(KERNEL_H)) count_tap_row (.clk(clk), .rst(rst), .step(step && tap_column_last), .value(tap_row), .last(tap_row_last));
  bnn_counter #(.COUNT(PASSES)) count_pass (.clk(clk), .rst(rst), .step(step && tap_column_last && tap_row_last), .value(pass), .last(pass_last));
  bnn_counter #(.COUNT(OUT_W)) count_column (.clk(clk), .rst(rst), .step(position_done), .value(column), .last(column_last));

  // Where the tap lies; it may lie on padding.
  wire signed [31:0] y = top + $signed(tap_row);
  wire signed [31:0] x = $signed(column * STRIDE_W + tap_column) - PAD_W;
  wire on_image = (y >= 0) && (y < IN_H) && (x >= 0) && (x < IN_W);
  wire [31:0] turn = oldest + (y - kept);
  wire [31:0] slot = (turn >= ROWS) ? turn - ROWS : turn;
  /* verilator lint_off UNUSEDSIGNAL */
  wire [31:0] address = on_image ? slot * IN_W + x : 32'd0;
  wire [31:0] place = in_slot * IN_W + in_column;
  /* verilator lint_on UNUSEDSIGNAL */

  reg [WIDTH-1:0] word;
  reg padding;
  // Without padding no word is ever replaced, which synthesis would not see.
  assign m_data = ((PAD_H != 0 || PAD_W != 0) && padding) ? {WIDTH{1'b0}} : word;

  always @(posedge clk) if (take) ring[place] <= s_data;
  always @(posedge clk) if (step) word <= ring[address];
  always @(posedge clk) begin
    if (step) padding <= !on_image;
    if (rst) m_valid <= 1'b0;
    else if (!m_valid || m_ready) m_valid <= step;
  end
endmodule
