import { crc32, deflateSync } from '../../node.ts';
/** Pixels as PNG files (W3C PNG, third edition): eight bits per channel, one filter, Node's compression. */

/** rgb: [height, width, 3]. */
export function encodePng(rgb: Uint8Array, width: number, height: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2], 8); // eight bits per channel, red, green and blue
  const stride = 3 * width;
  const rows = Buffer.alloc(height * (stride + 1)); // a row begins with its filter
  for (let y = 0; y < height; y++) {
    const to = y * (stride + 1);
    rows[to] = 2; // each byte minus the one above it: pictures are mostly ground
    for (let i = 0; i < stride; i++) rows[to + 1 + i] = rgb[y * stride + i] - (y > 0 ? rgb[(y - 1) * stride + i] : 0);
  }
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const out = Buffer.alloc(data.length + 12);
  out.writeUInt32BE(data.length, 0);
  out.write(type, 4, 'latin1');
  out.set(data, 8);
  out.writeUInt32BE(crc32(out.subarray(4, data.length + 8)), data.length + 8);
  return out;
}
