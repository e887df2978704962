// Pixels to levels: level = how many thresholds the pixel reaches.
//
// One pixel value per beat, channels fastest, then columns, then rows; the value is (pixel - smallest pixel), unsigned.
// One word per position leaves: channel c's level in bits [c*LEVEL_WIDTH +: LEVEL_WIDTH]. PLACES is 1 where all pixels
// share their thresholds, and the number of values of an image where each has its own.
module bnn_quantize #(
    parameter integer CHANNELS = 1,
    parameter integer POSITIONS = 1,
    parameter integer PIXEL_WIDTH = 8,
    parameter integer LEVELS = 1,
    parameter integer LEVEL_WIDTH = 1,
    parameter integer PLACES = 1,
    parameter THRESHOLD_FILE = "thresholds.mem"
) (
    input wire clk,
    input wire rst,
    input wire [PIXEL_WIDTH-1:0] s_data,
    input wire s_last,
    input wire s_valid,
    output wire s_ready,
    output reg [CHANNELS*LEVEL_WIDTH-1:0] m_data,
    output reg m_valid,
    input wire m_ready,
    output reg frame_error
);
  localparam integer VALUES = CHANNELS * POSITIONS;
  localparam integer THRESHOLD_WIDTH = PIXEL_WIDTH + 1;

  reg [LEVELS*THRESHOLD_WIDTH-1:0] thresholds[0:PLACES-1];
  initial $readmemh(THRESHOLD_FILE, thresholds);

  reg [31:0] value;    // number of this value in its image
  reg [31:0] channel;  // its channel
  wire [LEVELS*THRESHOLD_WIDTH-1:0] limits = thresholds[(PLACES == 1) ? 32'd0 : value];

  integer j;
  reg [LEVEL_WIDTH-1:0] level;
  always @* begin
    level = 0;
    for (j = 0; j < LEVELS; j = j + 1)
      if ({1'b0, s_data} >= limits[j*THRESHOLD_WIDTH+:THRESHOLD_WIDTH]) level = level + 1'b1;
  end

  // A word that waits to leave stops the stream in.
  assign s_ready = !m_valid || m_ready;

  always @(posedge clk) begin
    if (m_valid && m_ready) m_valid <= 1'b0;
    if (s_valid && s_ready) begin
      m_data[channel*LEVEL_WIDTH+:LEVEL_WIDTH] <= level;
      channel <= (channel == CHANNELS - 1) ? 0 : channel + 1;
      value <= (value == VALUES - 1) ? 0 : value + 1;
      if (channel == CHANNELS - 1) m_valid <= 1'b1;
      // TLAST marks exactly the last value of an image.
      if (s_last != (value == VALUES - 1)) frame_error <= 1'b1;
    end
    if (rst) begin
      m_valid <= 1'b0;
      channel <= 0;
      value <= 0;
      frame_error <= 1'b0;
    end
  end
endmodule
