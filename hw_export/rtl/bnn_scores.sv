// Scores and the class: score[c] = (count[c] << SHIFT) + bias[c] in 32 bits; the class has the largest score, the lowest
// index on a tie. Out come CLASSES beats, one score each (signed), then one beat with the class, marked by TLAST. The
// counts are kept meanwhile, so that the layer before can go on.
module bnn_scores #(
    parameter integer CLASSES = 2,
    parameter integer COUNT_WIDTH = 8,
    parameter integer SHIFT = 0,
    parameter BIAS_FILE = "bias.mem"
) (
    input wire clk,
    input wire rst,
    input wire [CLASSES*COUNT_WIDTH-1:0] s_data,
    input wire s_valid,
    output wire s_ready,
    output wire [31:0] m_data,
    output reg m_valid,
    output wire m_last,
    input wire m_ready
);
  reg [31:0] bias[0:CLASSES-1];
  initial $readmemh(BIAS_FILE, bias);

  reg [CLASSES*COUNT_WIDTH-1:0] counts;
  assign s_ready = !m_valid || (m_last && m_ready);

  // Beat CLASSES is the class itself.
  wire [31:0] beat;
  wire sent = m_valid && m_ready;
  bnn_counter #(.COUNT(CLASSES + 1)) count_beat (.clk(clk), .rst(rst), .step(sent), .value(beat), .last(m_last));

  // Counts a power of 2 of bits apart, which takes a narrower multiplexer to choose from.
  localparam integer STRIDE = 1 << $clog2(COUNT_WIDTH + 1);
  /* verilator lint_off UNUSEDSIGNAL */
  wire [CLASSES*STRIDE-1:0] spread;
  /* verilator lint_on UNUSEDSIGNAL */
  genvar label;
  generate
    for (label = 0; label < CLASSES; label = label + 1) begin : count_of
      assign spread[label*STRIDE+:STRIDE] = {{(STRIDE - COUNT_WIDTH) {1'b0}}, counts[label*COUNT_WIDTH+:COUNT_WIDTH]};
    end
  endgenerate

  localparam integer CLASS_WIDTH = (CLASSES > 1) ? $clog2(CLASSES) : 1;
  reg [CLASS_WIDTH-1:0] best_class;
  reg signed [31:0] best_score;

  wire [31:0] index = m_last ? 32'd0 : beat;
  wire [31:0] count = {{(32 - COUNT_WIDTH) {1'b0}}, spread[index*STRIDE+:COUNT_WIDTH]};
  wire signed [31:0] score = (count << SHIFT) + bias[index];
  // Strictly: an equal score later in the list does not win.
  wire better = (score > best_score);

  assign m_data  = m_last ? {{(32 - CLASS_WIDTH) {1'b0}}, best_class} : score;

  always @(posedge clk) begin
    if (s_ready) counts <= s_data;
    if (rst) m_valid <= 1'b0;
    else if (s_ready) m_valid <= s_valid;
    if (sent && !m_last && (beat == 0 || better)) begin
      best_score <= score;
      best_class <= beat[CLASS_WIDTH-1:0];
    end
  end
endmodule
