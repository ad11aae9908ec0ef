export const Greeting: React.FC<Props> = ({ name }) => <h1>Hello {name}</h1>;

// Counts.
export default function Counter() {
  const [count, setCount] = useState<number>(0);
  const increase = useCallback(() => setCount(count + 1), [count]);
  function reset() { setCount(0); }
  return <button onClick={() => increase()}>{count}</button>;
}
