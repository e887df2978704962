// How Yosys is to make a constant memory that is not block memory: as tables of six inputs.
//
// A column of the memory is a function of the address, so for up to 64 words it is one lookup table, whatever it holds.
// Left alone, Yosys makes multiplexers first and has its optimization of logic look for the function again, which then
// takes up to five tables. A column is stored less its first word, so that opposite ones become one; the inversion
// comes after the register, where the logic that reads it takes it in.

(* techmap_celltype = "$mem_v2" *)
module constant_memory (RD_CLK, RD_EN, RD_ARST, RD_SRST, RD_ADDR, RD_DATA, WR_CLK, WR_EN, WR_ADDR, WR_DATA);
  parameter MEMID = "";
  parameter WIDTH = 1;
  parameter OFFSET = 0;
  parameter SIZE = 1;
  parameter ABITS = 1;
  parameter RD_PORTS = 1;
  parameter RD_CLK_ENABLE = 0;
  parameter RD_CLK_POLARITY = 0;
  parameter RD_TRANSPARENCY_MASK = 0;
  parameter RD_COLLISION_X_MASK = 0;
  parameter RD_WIDE_CONTINUATION = 0;
  parameter RD_CE_OVER_SRST = 0;
  parameter RD_ARST_VALUE = 0;
  parameter RD_SRST_VALUE = 0;
  parameter RD_INIT_VALUE = 0;
  parameter WR_PORTS = 0;
  parameter WR_CLK_ENABLE = 0;
  parameter WR_CLK_POLARITY = 0;
  parameter WR_PRIORITY_MASK = 0;
  parameter WR_WIDE_CONTINUATION = 0;
  parameter [SIZE*WIDTH-1:0] INIT = 0;
  parameter _TECHMAP_CONSTVAL_RD_ARST_ = 1'bx;
  parameter _TECHMAP_CONSTVAL_RD_SRST_ = 1'bx;
  input RD_CLK, RD_EN, RD_ARST, RD_SRST, WR_CLK, WR_EN, WR_ADDR, WR_DATA;
  input [ABITS-1:0] RD_ADDR;
  output [WIDTH-1:0] RD_DATA;

  // Memories that are written or reset, have several ports or words without a value are left as they are.
  wire _TECHMAP_FAIL_ = WR_PORTS != 0 || RD_PORTS != 1 || OFFSET != 0 || ^INIT === 1'bx
                     || _TECHMAP_CONSTVAL_RD_ARST_ !== 1'b0 || _TECHMAP_CONSTVAL_RD_SRST_ !== 1'b0;

  // In parts, because Yosys copies all of a constant to read one bit of it.
  localparam PARTS = (WIDTH + 31) / 32;
  function [SIZE*32-1:0] columns(input integer first);
    integer i;
    for (i = 0; i < SIZE; i = i + 1)
      columns[i*32+:32] = INIT[i*WIDTH+first+:32] & (32'hffffffff >> (first + 32 > WIDTH ? first + 32 - WIDTH : 0));
  endfunction
  wire [PARTS*32-1:0] data;
  assign RD_DATA = data[WIDTH-1:0];
  genvar part;
  generate
    for (part = 0; part < PARTS; part = part + 1) begin : part_of
      constant_part #(
          .SIZE(SIZE), .ABITS(ABITS), .CLOCKED(RD_CLK_ENABLE), .RISING(RD_CLK_POLARITY), .WORDS(columns(part * 32))
      ) columns_of (.clk(RD_CLK), .go(RD_EN), .address(RD_ADDR), .data(data[part*32+:32]));
    end
  endgenerate
endmodule

// A memory of 32 columns, those beyond the memory's width 0.
module constant_part (clk, go, address, data);
  parameter SIZE = 1;
  parameter ABITS = 1;
  parameter CLOCKED = 0;
  parameter RISING = 1;
  parameter [SIZE*32-1:0] WORDS = 0;
  input clk, go;
  input [ABITS-1:0] address;
  output [31:0] data;

  localparam DEPTH = (SIZE > 1) ? $clog2(SIZE) : 1;
  // Of a column, for every address; of those that are never read, its first word.
  function [(1<<DEPTH)-1:0] changes(input integer place);
    integer i;
    for (i = 0; i < (1 << DEPTH); i = i + 1) changes[i] = (i < SIZE) ? WORDS[i*32+place] ^ WORDS[place] : 1'b0;
  endfunction
  genvar place;
  generate
    for (place = 0; place < 32; place = place + 1) begin : column
      wire changed, read;
      constant_function #(.DEPTH(DEPTH), .TABLE(changes(place))) words (.address(address[DEPTH-1:0]), .value(changed));
      if (CLOCKED)
        \$dffe #(.WIDTH(1), .CLK_POLARITY(RISING), .EN_POLARITY(1'b1)) register (.CLK(clk), .EN(go), .D(changed), .Q(read));
      else assign read = changed;
      assign data[place] = read ^ WORDS[place];
    end
  endgenerate
endmodule

// A bit for every address: nothing, a bit of the address, a table, or a choice of two.
module constant_function (address, value);
  parameter DEPTH = 1;
  parameter [(1<<DEPTH)-1:0] TABLE = 0;
  input [DEPTH-1:0] address;
  output value;

  localparam HALF = 1 << (DEPTH - 1);
  localparam [HALF-1:0] LOW = TABLE[HALF-1:0];
  localparam [HALF-1:0] HIGH = TABLE[2*HALF-1:HALF];
  generate
    if (TABLE === 0) assign value = 1'b0;
    else if (LOW === 0 && &HIGH === 1'b1) assign value = address[DEPTH-1];
    else if (LOW === HIGH)
      constant_function #(.DEPTH(DEPTH - 1), .TABLE(LOW)) both (.address(address[DEPTH-2:0]), .value(value));
    else if (DEPTH <= 6) \$lut #(.WIDTH(DEPTH), .LUT(TABLE)) table_of (.A(address), .Y(value));
    else begin
      wire low, high;
      constant_function #(.DEPTH(DEPTH - 1), .TABLE(LOW)) first (.address(address[DEPTH-2:0]), .value(low));
      constant_function #(.DEPTH(DEPTH - 1), .TABLE(HIGH ^ {HALF{HIGH[0]}})) second (.address(address[DEPTH-2:0]), .value(high));
      assign value = address[DEPTH-1] ? high ^ HIGH[0] : low;
    end
  endgenerate
endmodule
