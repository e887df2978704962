// Max pooling of bits: OR over the TAPS words of each window, AND for the channels marked in CONJUNCTIVE (those whose
// comparison is <=).
module bnn_pool #(
    parameter integer CHANNELS = 1,
    parameter integer TAPS = 1,
    parameter [CHANNELS-1:0] CONJUNCTIVE = 0
) (
    input wire clk,
    input wire rst,
    input wire [CHANNELS-1:0] s_data,
    input wire s_valid,
    output wire s_ready,
    output reg [CHANNELS-1:0] m_data,
    output reg m_valid,
    input wire m_ready
);
  // A word that waits to leave stops the stream in.
  assign s_ready = !m_valid || m_ready;
  wire take = s_valid && s_ready;
  wire [31:0] tap;
  wire last;
  bnn_counter #(.COUNT(TAPS)) count_tap (.clk(clk), .rst(rst), .step(take), .value(tap), .last(last));

  always @(posedge clk) begin
    if (take) begin
      if (tap == 0) m_data <= s_data;
      else m_data <= (CONJUNCTIVE & m_data & s_data) | (~CONJUNCTIVE & (m_data | s_data));
    end
    if (rst) m_valid <= 1'b0;
    else if (s_ready) m_valid <= take && last;
  end
endmodule
