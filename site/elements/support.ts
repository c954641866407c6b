/** The smallest module that uses a SIMD instruction; a browser without SIMD refuses it. */
const SIMD = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
]);

/** What to tell a reader whose browser cannot run code in a worker; undefined where it can. */
export function lacks(): string | undefined {
  const missing = [
    typeof Worker === 'function' ? '' : 'web workers',
    typeof WebAssembly !== 'object' ? 'WebAssembly' : WebAssembly.validate(SIMD) ? '' : 'WebAssembly SIMD',
  ].filter(Boolean);
  if (missing.length === 0) return undefined;
  return (
    `This part of the page trains and checks code in your browser. It needs ${missing.join(' and ')}, ` +
    'which this browser lacks or blocks; a current Chrome, Edge, Firefox or Safari has it.'
  );
}
