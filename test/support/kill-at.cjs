/**
 * Ends its process as SIGKILL or a power cut would, just before the n-th change of a file, where n is HEED_TEST_KILL_AT. A write is cut in
 * half. So a test kills at the moments that matter, and at the same ones on every machine. Loaded by `node --require`.
 */
const fs = require('node:fs');

let left = Number(process.env.HEED_TEST_KILL_AT);
delete process.env.HEED_TEST_KILL_AT; // not in the processes that this one starts
delete process.env.NODE_OPTIONS;

const changes = ['writeSync', 'fsyncSync', 'ftruncateSync', 'mkdirSync', 'renameSync', 'rmSync', 'linkSync'];
for (const name of changes) {
  const change = fs[name];
  fs[name] = (...args) => {
    if (--left === 0) {
      if (name === 'writeSync') {
        const [file, content, offset = 0, length = content.length - offset, position = null] = args;
        const bytes = Buffer.from(content); // of a text or of bytes
        change(file, bytes, offset, Math.floor(Math.min(length, bytes.length) / 2), position);
      }
      process.kill(process.pid, 'SIGKILL');
    }
    return change(...args);
  };
}
require('node:module').syncBuiltinESMExports();
