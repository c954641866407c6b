import { useWords } from '../words/words.ts';
import { RefusedCall, UnreachableError } from './api.ts';

/** What went wrong and what to do, where it happened. Messages of the server are in English. */
export function ErrorNote({ error, retry }: { error: Error; retry?: () => void }) {
  const { language, tryAgain, unreachable } = useWords();
  const hint = error instanceof RefusedCall ? error.hint : undefined;
  const [note, lang] =
    error instanceof UnreachableError ? [unreachable, language] : [{ message: error.message, hint }, 'en'];
  return (
    <div class="failure" role="alert">
      <p lang={lang}>{note.message}</p>
      {note.hint && (
        <p lang={lang} class="quiet">
          {note.hint}
        </p>
      )}
      {retry && (
        <button type="button" onClick={retry}>
          {tryAgain}
        </button>
      )}
    </div>
  );
}
