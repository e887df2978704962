// Which rows of its input a sliding window keeps. They go round in a ring of ROWS slots: a row is taken in while there
// is room, and let go when no later output row needs it, so the next rows, and the next image's, arrive while these are
// worked on. Deadlock is impossible with ROWS >= max(KERNEL_H, STRIDE_H); with STRIDE_H rows more, taking in never has to
// wait for a whole row of results.
//
// Words come position by position, row by row; `take` says that one goes to column in_column of slot in_slot. All of an
// output row needs the same rows: `ready` says that they are there, row_done that it is finished. Its kernel begins at
// row `top` of the image, which may be padding; row y of the image lies in slot (oldest + y - kept) modulo ROWS.
module bnn_rows #(
    parameter integer IN_H = 1,
    parameter integer IN_W = 1,
    parameter integer KERNEL_H = 1,
    parameter integer STRIDE_H = 1,
    parameter integer PAD_H = 0,
    parameter integer OUT_H = 1,
    parameter integer ROWS = 2
) (
    input wire clk,
    input wire rst,
    input wire s_valid,
    output wire s_ready,
    output wire take,
    output wire [31:0] in_slot,
    output wire [31:0] in_column,
    input wire row_done,
    output wire ready,
    output wire signed [31:0] top,
    output wire signed [31:0] kept,
    output wire [31:0] oldest
);
  localparam integer HELD_WIDTH = $clog2(ROWS + 1);
  localparam integer SLOT_WIDTH = (ROWS > 1) ? $clog2(ROWS) : 1;

  // How many rows are complete, and where the oldest lies.
  reg [HELD_WIDTH-1:0] held_count;
  reg [SLOT_WIDTH-1:0] oldest_slot;
  wire [31:0] held = {{(32 - HELD_WIDTH) {1'b0}}, held_count};
  assign oldest = {{(32 - SLOT_WIDTH) {1'b0}}, oldest_slot};

  assign s_ready = (held < ROWS);
  assign take = s_valid && s_ready;
  wire in_column_last;
  wire row_taken = take && in_column_last;
  wire [31:0] row;
  wire row_last;
  /* verilator lint_off UNUSEDSIGNAL */
  wire in_slot_last;
  /* verilator lint_on UNUSEDSIGNAL */
  bnn_counter #(.COUNT(IN_W)) count_in_column (.clk(clk), .rst(rst), .step(take), .value(in_column), .last(in_column_last));
  bnn_counter #(.COUNT(ROWS)) count_in_slot (.clk(clk), .rst(rst), .step(row_taken), .value(in_slot), .last(in_slot_last));
  bnn_counter #(.COUNT(OUT_H)) count_row (.clk(clk), .rst(rst), .step(row_done), .value(row), .last(row_last));

  // `kept` is the oldest row of this image in the ring, `kept_next` will be when this output row is done. Every row
  // before kept_next must have arrived before it can be let go, whether the kernel covers it or not.
  assign top = $signed(row * STRIDE_H) - PAD_H;
  assign kept = (top > 0) ? top : 0;
  wire signed [31:0] top_next = top + STRIDE_H;
  wire signed [31:0] kept_next = row_last ? IN_H : (top_next > 0) ? top_next : 0;
  wire signed [31:0] bottom = (top + KERNEL_H > IN_H) ? IN_H : top + KERNEL_H;
  wire signed [31:0] needed = ((bottom > kept_next) ? bottom : kept_next) - kept;
  assign ready = ($signed(held) >= needed);

  wire [31:0] released = row_done ? kept_next - kept : 32'd0;
  /* verilator lint_off UNUSEDSIGNAL */
  wire [31:0] oldest_turn = oldest + released;
  wire [31:0] oldest_next = (oldest_turn >= ROWS) ? oldest_turn - ROWS : oldest_turn;
  wire [31:0] held_next = held + {31'd0, row_taken} - released;
  /* verilator lint_on UNUSEDSIGNAL */
  always @(posedge clk) begin
    if (rst) begin
      held_count <= 0;
      oldest_slot <= 0;
    end else begin
      held_count <= held_next[HELD_WIDTH-1:0];
      oldest_slot <= oldest_next[SLOT_WIDTH-1:0];
    end
  end
endmodule
