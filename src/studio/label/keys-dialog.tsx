import { useEffect, useRef, useState } from 'preact/hooks';
import { useWords } from '../words/words.ts';
import { bind, bindings, type KeyAction, nameOf, resetBindings } from './keys.ts';

/** A dialog that shows the key of each action and changes it. */
export function KeysDialog({ close }: { close(): void }) {
  const words = useWords();
  const dialog = useRef<HTMLDialogElement>(null);
  const [changing, setChanging] = useState<KeyAction>();
  const [, redraw] = useState(0);
  useEffect(() => dialog.current!.showModal(), []);
  const keys = bindings();
  return (
    <dialog
      ref={dialog}
      aria-labelledby="keys-title"
      onClose={close}
      onKeyDown={(event) => {
        if (!changing || ['Shift', 'Control', 'Alt', 'Meta', 'Tab'].includes(event.key)) return;
        event.preventDefault();
        if (event.key !== 'Escape') bind(changing, nameOf(event));
        setChanging(undefined);
      }}
    >
      <h2 id="keys-title">{words.keys}</h2>
      <table>
        <tbody>
          {(Object.keys(words.actions) as KeyAction[]).map((action) => (
            <tr>
              <th scope="row">{words.actions[action]}</th>
              <td>
                <button
                  type="button"
                  aria-label={words.changeKey(
                    changing === action ? words.pressKey : keys[action],
                    words.actions[action],
                  )}
                  onClick={() => setChanging(action)}
                >
                  {changing === action ? words.pressKey : <kbd>{keys[action]}</kbd>}
                </button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <p class="quiet">{words.fixedKeys}</p>
      <button
        type="button"
        onClick={() => {
          resetBindings();
          redraw((n) => n + 1);
        }}
      >
        {words.resetKeys}
      </button>{' '}
      <button type="button" onClick={() => dialog.current!.close()}>
        {words.close}
      </button>
    </dialog>
  );
}
