/**
 * Checks the pages of a Parquet file before hyparquet decodes them. It takes the counts in a file as they are, so a
 * damaged one would make it fill all memory.
 */

import type { ColumnMetaData, FileMetaData, RowGroup, SchemaTree } from 'hyparquet';
import { parquetSchema } from 'hyparquet';
import { parquetHeader } from 'hyparquet/src/column.js';
import { getMaxDefinitionLevel, getMaxRepetitionLevel, getTreePath } from 'hyparquet/src/schema.js';
import { readVarInt } from 'hyparquet/src/thrift.js';
import { compressors } from 'hyparquet-compressors';
import { DamagedFile } from './bytes.ts';

/** Bytes of a page at most: writers begin a new one after about one MB. */
const LARGEST_PAGE = 2 ** 27;
/** Values in a column of a row group at most: so many, and so many more for each byte of the group. */
const VALUES = 2 ** 16;
const VALUES_PER_BYTE = 8;
/** Writers may fill up the last run of a page. */
const FILLING = 512;

type Page = ReturnType<typeof parquetHeader>;

/** Reads the bytes [start, end) of the file. */
type Read = (start: number, end: number) => Promise<ArrayBuffer>;

/** @throws DamagedFile if a count in the pages of a row group cannot be right. */
export async function checkGroup(metadata: FileMetaData, { num_rows, columns }: RowGroup, read: Read): Promise<void> {
  const schema = parquetSchema(metadata);
  const bytes = columns.reduce((sum, { meta_data }) => sum + Number(meta_data?.total_compressed_size ?? 0), 0);
  const most = VALUES + VALUES_PER_BYTE * bytes;
  if (!(num_rows >= 0 && num_rows <= most)) throw wrong(`a row group of ${bytes} bytes has ${num_rows} rows`);
  for (const { meta_data: column } of columns) {
    if (!column) continue;
    const start = Number(column.dictionary_page_offset ?? column.data_page_offset);
    const chunk = await read(start, start + Number(column.total_compressed_size));
    checkChunk(new Uint8Array(chunk), column, getTreePath(schema, column.path_in_schema), most);
  }
}

function checkChunk(bytes: Uint8Array, column: ColumnMetaData, path: SchemaTree[], most: number): void {
  const reader = { view: viewOf(bytes), offset: 0 };
  let values = 0;
  while (reader.offset < bytes.length - 1) {
    const page = parquetHeader(reader);
    const size = page.compressed_page_size;
    if (!(size >= 0 && reader.offset + size <= bytes.length)) throw wrong(`a page of ${size} bytes does not fit`);
    if (!(page.uncompressed_page_size >= 0 && page.uncompressed_page_size <= LARGEST_PAGE)) {
      throw wrong(`a page has ${page.uncompressed_page_size} bytes, at most ${LARGEST_PAGE} are read`);
    }
    const header = page.data_page_header ?? page.data_page_header_v2 ?? page.dictionary_page_header;
    const count = header?.num_values ?? 0;
    values += count;
    if (!(count >= 0 && values <= most)) throw wrong(`a column of ${bytes.length} bytes has ${values} values`);
    checkPage(page, bytes.subarray(reader.offset, reader.offset + size), column, path);
    reader.offset += size;
  }
}

/** Checks the runs of a page's levels, and of its indices into the dictionary. */
function checkPage(page: Page, data: Uint8Array, column: ColumnMetaData, path: SchemaTree[]): void {
  const widths = [getMaxRepetitionLevel(path), getMaxDefinitionLevel(path)].map((most) => 32 - Math.clz32(most));
  const { data_page_header: first, data_page_header_v2: second } = page;
  if (page.type === 'DATA_PAGE' && first) {
    const bytes = unpacked(data, page.uncompressed_page_size, column);
    let at = 0;
    for (const width of widths.filter((width) => width > 0)) at = checkPrefixed(bytes, at, width, first.num_values);
    checkValues(bytes.subarray(at), first, column);
  } else if (page.type === 'DATA_PAGE_V2' && second) {
    const lengths = [second.repetition_levels_byte_length, second.definition_levels_byte_length];
    const levels = lengths[0] + lengths[1];
    if (!lengths.every((length) => length >= 0) || levels > data.length) throw wrong('the levels of a page do not fit');
    for (const [i, at] of [0, lengths[0]].entries()) {
      if (widths[i] > 0) checkRuns(data.subarray(at, at + lengths[i]), widths[i], second.num_values);
    }
    const rest = data.subarray(levels);
    const isPacked = second.is_compressed !== false;
    checkValues(isPacked ? unpacked(rest, page.uncompressed_page_size - levels, column) : rest, second, column);
  }
}

function checkValues(
  bytes: Uint8Array,
  { encoding, num_values }: { encoding: string; num_values: number },
  { type }: ColumnMetaData,
): void {
  if (!['PLAIN_DICTIONARY', 'RLE_DICTIONARY', 'RLE'].includes(encoding) || bytes.length === 0) return;
  if (type === 'BOOLEAN') checkPrefixed(bytes, 0, 1, num_values);
  else if (bytes[0] > 0) checkRuns(bytes.subarray(1), bytes[0], num_values);
}

/** Checks runs with their length before them. Returns where they end. */
function checkPrefixed(bytes: Uint8Array, at: number, width: number, values: number): number {
  const end = at + 4 + viewOf(bytes).getUint32(at, true);
  checkRuns(bytes.subarray(at + 4, end), width, values);
  return end;
}

/** Runs of equal values, and of values packed by their bits: none is longer than the page has values. */
function checkRuns(bytes: Uint8Array, width: number, values: number): void {
  const reader = { view: viewOf(bytes), offset: 0 };
  for (let seen = 0; seen < values && reader.offset < bytes.length; ) {
    const header = readVarInt(reader);
    const groups = header >> 1;
    const count = header & 1 ? groups << 3 : header >>> 1;
    if (count < 0 || count > values - seen + FILLING) throw wrong(`a page of ${values} values has a run of ${count}`);
    reader.offset += header & 1 ? groups * width : (width + 7) >> 3;
    seen += count;
  }
}

function unpacked(data: Uint8Array, size: number, { codec }: ColumnMetaData): Uint8Array {
  const decompress = compressors[codec];
  return codec === 'UNCOMPRESSED' || !decompress ? data : decompress(data, size);
}

const viewOf = ({ buffer, byteOffset, byteLength }: Uint8Array) => new DataView(buffer, byteOffset, byteLength);

const wrong = (what: string) => new DamagedFile(`is not valid Parquet: ${what}`);
