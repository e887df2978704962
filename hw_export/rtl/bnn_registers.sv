// The register map, over AXI4-Lite: what the accelerator is and how it fares. One access at a time each way; accesses to
// other addresses read 0 and write nothing.
//
// 0x00 ID       "BNNH"
// 0x04 VERSION  of this map: 1
// 0x08 CONTROL  bit 0: while it is 1 the accelerator is held in reset and the counters are 0 (read and write)
// 0x0C STATUS   bit 0: an image of the wrong length came since reset
// 0x10 TAKEN    images taken in
// 0x14 GIVEN    images answered
// 0x18 CLOCKS   since reset
// 0x1C STALLED  clocks in which an answer had to wait
// 0x20 DIGEST   to 0x3C: the model's SHA-256, its first eight digits in the first word
module bnn_registers #(
    parameter [255:0] DIGEST = 256'd0
) (
    input wire clk,
    input wire rst,
    input wire s_axi_awvalid,
    output wire s_axi_awready,
    /* verilator lint_off UNUSEDSIGNAL */
    // Bytes of a word are not addressed one by one.
    input wire [5:0] s_axi_awaddr,
    input wire [5:0] s_axi_araddr,
    input wire [31:0] s_axi_wdata,
    input wire [3:0] s_axi_wstrb,
    /* verilator lint_on UNUSEDSIGNAL */
    input wire s_axi_wvalid,
    output wire s_axi_wready,
    output wire [1:0] s_axi_bresp,
    output reg s_axi_bvalid,
    input wire s_axi_bready,
    input wire s_axi_arvalid,
    output wire s_axi_arready,
    output reg [31:0] s_axi_rdata,
    output wire [1:0] s_axi_rresp,
    output reg s_axi_rvalid,
    input wire s_axi_rready,
    input wire frame_error,
    input wire image_taken,
    input wire image_given,
    input wire answer_waits,
    output reg held
);
  assign s_axi_bresp = 2'b00;
  assign s_axi_rresp = 2'b00;
  // Address and data of a write are taken together.
  wire write = s_axi_awvalid && s_axi_wvalid && !s_axi_bvalid;
  assign s_axi_awready = write;
  assign s_axi_wready = write;
  assign s_axi_arready = !s_axi_rvalid;
  wire read = s_axi_arvalid && s_axi_arready;

  reg [31:0] taken, given, clocks, stalled;
  reg [31:0] value;
  wire [31:0] word = {28'd0, s_axi_araddr[5:2]};
  always @* begin
    case (word)
      32'd0: value = 32'h424e4e48;
      32'd1: value = 32'd1;
      32'd2: value = {31'd0, held};
      32'd3: value = {31'd0, frame_error};
      32'd4: value = taken;
      32'd5: value = given;
      32'd6: value = clocks;
      32'd7: value = stalled;
      default: value = DIGEST[(15-word)*32+:32];
    endcase
  end

  always @(posedge clk) begin
    if (read) s_axi_rdata <= value;
    if (rst) begin
      s_axi_bvalid <= 1'b0;
      s_axi_rvalid <= 1'b0;
      held <= 1'b0;
    end else begin
      if (write) s_axi_bvalid <= 1'b1;
      else if (s_axi_bready) s_axi_bvalid <= 1'b0;
      if (read) s_axi_rvalid <= 1'b1;
      else if (s_axi_rready) s_axi_rvalid <= 1'b0;
      if (write && s_axi_awaddr[5:2] == 4'd2 && s_axi_wstrb[0]) held <= s_axi_wdata[0];
    end
    if (rst || held) begin
      taken <= 32'd0;
      given <= 32'd0;
      clocks <= 32'd0;
      stalled <= 32'd0;
    end else begin
      clocks <= clocks + 32'd1;
      if (image_taken) taken <= taken + 32'd1;
      if (image_given) given <= given + 32'd1;
      if (answer_waits) stalled <= stalled + 32'd1;
    end
  end
endmodule
