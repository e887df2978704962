// Joins PACK successive words of a stream into one, the first lowest: a dense layer reads several positions at once.
module bnn_pack #(
    parameter integer WIDTH = 1,
    parameter integer PACK  = 2
) (
    input wire clk,
    input wire rst,
    input wire [WIDTH-1:0] s_data,
    input wire s_valid,
    output wire s_ready,
    output reg [PACK*WIDTH-1:0] m_data,
    output reg m_valid,
    input wire m_ready
);
  wire take = s_valid && s_ready;
  wire last;
  /* verilator lint_off UNUSEDSIGNAL */
  wire [31:0] joined;
  /* verilator lint_on UNUSEDSIGNAL */
  bnn_counter #(.COUNT(PACK)) count_joined (.clk(clk), .rst(rst), .step(take), .value(joined), .last(last));

  // A word that waits to leave stops the stream in.
  assign s_ready = !m_valid || m_ready;

  always @(posedge clk) begin
    if (take) m_data <= {s_data, m_data[PACK*WIDTH-1:WIDTH]};
    if (rst) m_valid <= 1'b0;
    else if (s_ready) m_valid <= take && last;
  end
endmodule
