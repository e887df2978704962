// Sliding window: for every output position, PASSES times, the words under the kernel, row by row; zero on padding.
//
// Rows of the input go round in a ring of ROWS rows. A row is taken in while there is room, and let go when no later
// position needs it, so the next rows, and the next image's, arrive while these are worked on. Deadlock is impossible
// with ROWS >= max(KERNEL_H, STRIDE_H); with STRIDE_H rows more, loading never has to wait for a whole row of results.
//
// Words come position by position, row by row. A dense layer is a window that covers all its input (one position).
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
  localparam integer HELD_WIDTH = $clog2(ROWS + 1);
  localparam integer SLOT_WIDTH = (ROWS > 1) ? $clog2(ROWS) : 1;

  reg [WIDTH-1:0] ring[0:ROWS*IN_W-1];

  // The rows in the ring: how many are complete, and where the oldest lies.
  reg [HELD_WIDTH-1:0] held_count;
  reg [SLOT_WIDTH-1:0] oldest_slot;
  wire [31:0] held = {{(32 - HELD_WIDTH) {1'b0}}, held_count};
  wire [31:0] oldest = {{(32 - SLOT_WIDTH) {1'b0}}, oldest_slot};

  // Taking in.
  assign s_ready = (held < ROWS);
  wire take = s_valid && s_ready;
  wire [31:0] in_column, in_slot;
  wire in_column_last, row_taken;
  assign row_taken = take && in_column_last;
  bnn_counter #(.COUNT(IN_W)) count_in_column (.clk(clk), .rst(rst), .step(take), .value(in_column), .last(in_column_last));

  // Giving out: which tap of which position. All of an output row needs the same rows, so it begins when they are there.
  wire step, tap_column_last, tap_row_last, pass_last, column_last, row_last;
  wire [31:0] tap_column, tap_row, column, row;
  wire tap_last = tap_column_last && tap_row_last;
  wire row_done = step && tap_last && pass_last && column_last;
  /* verilator lint_off UNUSEDSIGNAL */
  wire in_slot_last;
  wire [31:0] pass;
  /* verilator lint_on UNUSEDSIGNAL */
  bnn_counter #(.COUNT(ROWS)) count_in_slot (.clk(clk), .rst(rst), .step(row_taken), .value(in_slot), .last(in_slot_last));
  bnn_counter #(.COUNT(KERNEL_W)) count_tap_column (.clk(clk), .rst(rst), .step(step), .value(tap_column), .last(tap_column_last));
  bnn_counter #(.COUNT(KERNEL_H)) count_tap_row (.clk(clk), .rst(rst), .step(step && tap_column_last), .value(tap_row), .last(tap_row_last));
  bnn_counter #(.COUNT(PASSES)) count_pass (.clk(clk), .rst(rst), .step(step && tap_last), .value(pass), .last(pass_last));
  bnn_counter #(.COUNT(OUT_W)) count_column (.clk(clk), .rst(rst), .step(step && tap_last && pass_last), .value(column), .last(column_last));
  bnn_counter #(.COUNT(OUT_H)) count_row (.clk(clk), .rst(rst), .step(row_done), .value(row), .last(row_last));

  // Rows of this image: `kept` is the oldest in the ring, `kept_next` will be when this output row is done. Every row
  // before kept_next must have arrived before it can be let go, whether the kernel covers it or not.
  wire signed [31:0] top = $signed(row * STRIDE_H) - PAD_H;
  wire signed [31:0] top_next = top + STRIDE_H;
  wire signed [31:0] bottom = (top + KERNEL_H > IN_H) ? IN_H : top + KERNEL_H;
  wire signed [31:0] kept = (top > 0) ? top : 0;
  wire signed [31:0] kept_next = row_last ? IN_H : (top_next > 0) ? top_next : 0;
  wire signed [31:0] needed = ((bottom > kept_next) ? bottom : kept_next) - kept;
  wire [31:0] released = row_done ? kept_next - kept : 32'd0;

  // Where the tap lies; it may lie on padding.
  wire signed [31:0] y = top + $signed(tap_row);
  wire signed [31:0] x = $signed(column * STRIDE_W + tap_column) - PAD_W;
  wire on_image = (y >= 0) && (y < IN_H) && (x >= 0) && (x < IN_W);
  wire [31:0] turn = oldest + (y - kept);
  wire [31:0] slot = (turn >= ROWS) ? turn - ROWS : turn;
  /* verilator lint_off UNUSEDSIGNAL */
  wire [31:0] address = on_image ? slot * IN_W + x : 32'd0;
  /* verilator lint_on UNUSEDSIGNAL */

  assign step = ($signed(held) >= needed) && (!m_valid || m_ready);

  reg [WIDTH-1:0] word;
  reg padding;
  assign m_data = padding ? {WIDTH{1'b0}} : word;

  /* verilator lint_off UNUSEDSIGNAL */
  wire [31:0] oldest_turn = oldest + released;
  wire [31:0] oldest_next = (oldest_turn >= ROWS) ? oldest_turn - ROWS : oldest_turn;
  wire [31:0] held_next = held + {31'd0, row_taken} - released;
  /* verilator lint_on UNUSEDSIGNAL */

  always @(posedge clk) begin
    if (take) ring[in_slot*IN_W+in_column] <= s_data;
  end
  always @(posedge clk) begin
    if (step) word <= ring[address];
  end
  always @(posedge clk) begin
    if (step) padding <= !on_image;
    if (rst) begin
      m_valid <= 1'b0;
      held_count <= 0;
      oldest_slot <= 0;
    end else begin
      if (!m_valid || m_ready) m_valid <= step;
      held_count <= held_next[HELD_WIDTH-1:0];
      oldest_slot <= oldest_next[SLOT_WIDTH-1:0];
    end
  end
endmodule
