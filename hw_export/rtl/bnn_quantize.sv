// Pixels to levels: level = how many thresholds the pixel reaches.
//
// VALUES pixel values a beat, channels fastest, then columns, then rows; value v in bits [v*LANE +: PIXEL_WIDTH], as
// (pixel - smallest pixel), unsigned. Their levels leave side by side, LEVEL_WIDTH bits each. SHARED = 1: one word of
// LEVELS thresholds for all pixels; SHARED = 0: a word of VALUES x LEVELS for each beat of an image.
module bnn_quantize #(
    parameter integer VALUES = 1,
    parameter integer LANE = 8,
    parameter integer BEATS = 1,
    parameter integer PIXEL_WIDTH = 8,
    parameter integer LEVELS = 1,
    parameter integer LEVEL_WIDTH = 1,
    parameter integer SHARED = 1,
    parameter THRESHOLD_FILE = "thresholds.mem"
) (
    input wire clk,
    input wire rst,
    /* verilator lint_off UNUSEDSIGNAL */
    // A lane's high bits are ignored, as AXI4-Stream allows.
    input wire [VALUES*LANE-1:0] s_data,
    /* verilator lint_on UNUSEDSIGNAL */
    input wire s_last,
    input wire s_valid,
    output wire s_ready,
    output reg [VALUES*LEVEL_WIDTH-1:0] m_data,
    output reg m_valid,
    input wire m_ready,
    output reg frame_error
);
  localparam integer THRESHOLD_WIDTH = PIXEL_WIDTH + 1;
  localparam integer OWN = (SHARED != 0) ? 1 : VALUES;
  localparam integer PLACES = (SHARED != 0) ? 1 : BEATS;

  reg [OWN*LEVELS*THRESHOLD_WIDTH-1:0] thresholds[0:PLACES-1];
  initial $readmemh(THRESHOLD_FILE, thresholds);

  // A word that waits to leave stops the stream in.
  assign s_ready = !m_valid || m_ready;
  wire take = s_valid && s_ready;
  wire beat_last;
  /* verilator lint_off UNUSEDSIGNAL */
  wire [31:0] beat, place;
  wire place_last;
  /* verilator lint_on UNUSEDSIGNAL */
  bnn_counter #(.COUNT(BEATS)) count_beat (.clk(clk), .rst(rst), .step(take), .value(beat), .last(beat_last));
  bnn_counter #(.COUNT(PLACES)) count_place (.clk(clk), .rst(rst), .step(take), .value(place), .last(place_last));
  wire [OWN*LEVELS*THRESHOLD_WIDTH-1:0] limits = thresholds[place];

  wire [VALUES*LEVEL_WIDTH-1:0] levels;
  genvar v, j;
  generate
    for (v = 0; v < VALUES; v = v + 1) begin : value
      localparam integer FIRST = (OWN == 1) ? 0 : v * LEVELS;
      wire [PIXEL_WIDTH-1:0] pixel = s_data[v*LANE+:PIXEL_WIDTH];
      wire [LEVELS-1:0] reached;
      for (j = 0; j < LEVELS; j = j + 1) begin : compare
        assign reached[j] = ({1'b0, pixel} >= limits[(FIRST+j)*THRESHOLD_WIDTH+:THRESHOLD_WIDTH]);
      end
      reg [LEVEL_WIDTH-1:0] level;
      integer k;
      always @* begin
        level = 0;
        for (k = 0; k < LEVELS; k = k + 1) if (reached[k]) level = level + 1'b1;
      end
      assign levels[v*LEVEL_WIDTH+:LEVEL_WIDTH] = level;
    end
  endgenerate

  always @(posedge clk) begin
    if (take) m_data <= levels;
    if (rst) begin
      m_valid <= 1'b0;
      frame_error <= 1'b0;
    end else begin
      if (s_ready) m_valid <= take;
      // TLAST marks exactly the last beat of an image.
      if (take && s_last != beat_last) frame_error <= 1'b1;
    end
  end
endmodule
