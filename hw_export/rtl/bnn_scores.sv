// Scores and the class: score[c] = (acc[c] << SHIFT) + bias[c]; the class has the largest score, the lowest index on a
// tie. Out come CLASSES beats, one score each (signed, 32 bits), then one beat with the class, marked by TLAST.
module bnn_scores #(
    parameter integer CLASSES = 2,
    parameter integer ACC_WIDTH = 8,
    parameter integer SHIFT = 0,
    parameter BIAS_FILE = "bias.mem"
) (
    input wire clk,
    input wire rst,
    input wire [CLASSES*ACC_WIDTH-1:0] s_data,
    input wire s_valid,
    output wire s_ready,
    output wire [31:0] m_data,
    output wire m_valid,
    output wire m_last,
    input wire m_ready
);
  reg [31:0] bias[0:CLASSES-1];
  initial $readmemh(BIAS_FILE, bias);

  reg [31:0] beat;  // CLASSES: the class itself
  reg [31:0] best_class;
  reg signed [31:0] best_score;

  wire [31:0] index = (beat < CLASSES) ? beat : 32'd0;
  wire [ACC_WIDTH-1:0] acc = s_data[index*ACC_WIDTH+:ACC_WIDTH];
  wire [31:0] wide = {{(32 - ACC_WIDTH) {acc[ACC_WIDTH-1]}}, acc};
  wire signed [31:0] score = (wide << SHIFT) + bias[index];

  assign m_last  = (beat == CLASSES);
  assign m_data  = m_last ? best_class : score;
  assign m_valid = s_valid;
  assign s_ready = m_last && m_ready;

  always @(posedge clk) begin
    if (m_valid && m_ready) begin
      beat <= m_last ? 0 : beat + 1;
      // Strictly greater: an equal score later in the list does not win.
      if (!m_last && (beat == 0 || score > best_score)) begin
        best_score <= score;
        best_class <= beat;
      end
    end
    if (rst) beat <= 0;
  end
endmodule
