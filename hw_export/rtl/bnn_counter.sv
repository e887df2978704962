// Counts 0, 1, ..., COUNT - 1 and over again, one up with every step. Loops nest by stepping the outer counter with the
// inner one's last. Only as many flip-flops as COUNT needs; value is as wide as all arithmetic here, 32 bits.
module bnn_counter #(
    parameter integer COUNT = 1
) (
    input wire clk,
    input wire rst,
    input wire step,
    output wire [31:0] value,
    output wire last
);
  generate
    if (COUNT == 1) begin : constant
      // One value needs no state.
      /* verilator lint_off UNUSEDSIGNAL */
      wire [2:0] unused = {clk, rst, step};
      /* verilator lint_on UNUSEDSIGNAL */
      assign value = 32'd0;
      assign last  = 1'b1;
    end else begin : counting
      localparam integer WIDTH = $clog2(COUNT);
      reg [WIDTH-1:0] count;
      assign value = {{(32 - WIDTH) {1'b0}}, count};
      assign last  = (value == COUNT - 1);
      always @(posedge clk)
        if (rst) count <= 0;
        else if (step) count <= last ? 0 : count + 1'b1;
    end
  endgenerate
endmodule
