// A bit, CLOCKS clocks later (at least 1): makes the neurons of an unrolled layer arrive together.
module bnn_delay #(
    parameter integer CLOCKS = 1
) (
    input  wire clk,
    input  wire go,
    input  wire x,
    output wire y
);
  reg [CLOCKS:1] passed;
  assign y = passed[CLOCKS];
  integer i;
  always @(posedge clk)
    if (go) begin
      passed[1] <= x;
      for (i = 2; i <= CLOCKS; i = i + 1) passed[i] <= passed[i-1];
    end
endmodule
