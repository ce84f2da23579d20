defmodule Harness.Http do
  @moduledoc "A small HTTP/1.1 client over TCP and Unix sockets: one connection a request, nothing is ever tried again."

  @timeout 60_000

  @doc "`where` is `{host, port}` or `{:unix, path}`. Answers `{:ok, status, body}` or `{:error, reason}`."
  def request(method, where, path, opts \\ []) do
    timeout = Keyword.get(opts, :timeout, @timeout)

    with {:ok, socket} <- connect(where, timeout) do
      result =
        with :ok <- :gen_tcp.send(socket, head(method, path, opts)),
             :ok <- :gen_tcp.send(socket, Keyword.get(opts, :body, "")),
             {:ok, answer} <- read(socket, timeout, []) do
          parse(answer)
        end

      :gen_tcp.close(socket)
      result
    end
  end

  def get(where, path, opts \\ []), do: request("GET", where, path, opts)

  defp connect({:unix, path}, timeout), do: open({:local, String.to_charlist(path)}, 0, timeout)
  defp connect({host, port}, timeout), do: open(String.to_charlist(host), port, timeout)

  defp open(address, port, timeout) do
    :gen_tcp.connect(address, port, [:binary, active: false, packet: :raw], timeout)
  end

  defp head(method, path, opts) do
    body = Keyword.get(opts, :body, "")
    type = Keyword.get(opts, :type, "application/json")
    host = Keyword.get(opts, :host, "localhost")

    [
      "#{method} #{path} HTTP/1.1\r\nhost: #{host}\r\nconnection: close\r\n",
      "content-type: #{type}\r\ncontent-length: #{byte_size(body)}\r\n",
      for({name, value} <- Keyword.get(opts, :headers, []), do: "#{name}: #{value}\r\n"),
      "\r\n"
    ]
  end

  defp read(socket, timeout, parts) do
    case :gen_tcp.recv(socket, 0, timeout) do
      {:ok, part} -> read(socket, timeout, [parts, part])
      {:error, :closed} -> {:ok, IO.iodata_to_binary(parts)}
      {:error, reason} -> {:error, reason}
    end
  end

  defp parse(answer) do
    with [head, body] <- String.split(answer, "\r\n\r\n", parts: 2),
         ["HTTP/1." <> <<_, " ", status::binary-size(3)>> <> _ | headers] <- String.split(head, "\r\n") do
      status = String.to_integer(status)
      headers = Map.new(headers, &header/1)

      cond do
        status in 100..199 -> parse(body)
        headers["transfer-encoding"] == "chunked" -> {:ok, status, dechunk(body, [])}
        whole?(headers, body) -> {:ok, status, body}
        true -> {:error, :truncated}
      end
    else
      _ -> {:error, :no_answer}
    end
  end

  defp whole?(headers, body) do
    case headers["content-length"] do
      nil -> true
      length -> byte_size(body) == String.to_integer(length)
    end
  end

  defp header(line) do
    [name, value] = String.split(line, ":", parts: 2)
    {String.downcase(name), String.trim(value)}
  end

  defp dechunk(body, parts) do
    with [size, rest] <- String.split(body, "\r\n", parts: 2),
         {size, _} when size > 0 <- Integer.parse(size, 16) do
      part = binary_part(rest, 0, size)
      dechunk(binary_part(rest, size + 2, byte_size(rest) - size - 2), [parts, part])
    else
      _ -> IO.iodata_to_binary(parts)
    end
  end
end
