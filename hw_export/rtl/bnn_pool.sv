// Max pooling of bits: OR over each window, AND for the channels marked in CONJUNCTIVE (those whose comparison is <=).
// A frame is loaded, then one tap of all channels is read per clock. Words and positions are as in bnn_layer.
module bnn_pool #(
    parameter integer IN_H = 1,
    parameter integer IN_W = 1,
    parameter integer CHANNELS = 1,
    parameter integer KERNEL_H = 1,
    parameter integer KERNEL_W = 1,
    parameter integer STRIDE_H = 1,
    parameter integer STRIDE_W = 1,
    parameter integer OUT_H = 1,
    parameter integer OUT_W = 1,
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
  localparam [1:0] LOAD = 2'd0, RUN = 2'd1, SEND = 2'd2;

  reg [CHANNELS-1:0] frame[0:IN_H*IN_W-1];
  reg [1:0] state;
  reg [31:0] loaded, row, column, tap_row, tap_column;
  assign s_ready = (state == LOAD);

  wire [CHANNELS-1:0] word = frame[(row*STRIDE_H+tap_row)*IN_W+column*STRIDE_W+tap_column];
  wire first = (tap_row == 0) && (tap_column == 0);
  wire last = (tap_row == KERNEL_H - 1) && (tap_column == KERNEL_W - 1);

  always @(posedge clk) begin
    case (state)
      LOAD:
      if (s_valid) begin
        frame[loaded] <= s_data;
        loaded <= (loaded == IN_H * IN_W - 1) ? 0 : loaded + 1;
        if (loaded == IN_H * IN_W - 1) state <= RUN;
      end
      RUN: begin
        if (first) m_data <= word;
        else m_data <= (CONJUNCTIVE & m_data & word) | (~CONJUNCTIVE & (m_data | word));
        tap_column <= (tap_column == KERNEL_W - 1) ? 0 : tap_column + 1;
        if (tap_column == KERNEL_W - 1) tap_row <= last ? 0 : tap_row + 1;
        if (last) begin
          m_valid <= 1'b1;
          state   <= SEND;
        end
      end
      default:
      if (m_ready) begin
        m_valid <= 1'b0;
        column <= (column == OUT_W - 1) ? 0 : column + 1;
        if (column == OUT_W - 1) row <= (row == OUT_H - 1) ? 0 : row + 1;
        state <= (column == OUT_W - 1 && row == OUT_H - 1) ? LOAD : RUN;
      end
    endcase
    if (rst) begin
      state <= LOAD;
      m_valid <= 1'b0;
      loaded <= 0;
      row <= 0;
      column <= 0;
      tap_row <= 0;
      tap_column <= 0;
    end
  end
endmodule
