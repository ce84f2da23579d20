defmodule Harness.GitServer do
  @moduledoc """
  A web server on the loopback for one repository (git's smart protocol), one archive, and a registry that lets nobody in. It
  asks for a user and a password, and remembers who came with which.
  """
  use GenServer

  defstruct [:pid, :port]

  @doc "Serves the repository in `dir` at `/repo.git` to `user` with `password`; of all else it says 404, of `/v2/` 401."
  def start!(dir, {user, password}) do
    {:ok, pid} = GenServer.start(__MODULE__, {dir, "Basic " <> Base.encode64("#{user}:#{password}")})
    %__MODULE__{pid: pid, port: GenServer.call(pid, :port)}
  end

  def stop(%__MODULE__{pid: pid}), do: GenServer.stop(pid)

  @doc "The heads of all requests so far."
  def requests(%__MODULE__{pid: pid}), do: GenServer.call(pid, :requests)

  @impl true
  def init({dir, authorization}) do
    {:ok, socket} =
      :gen_tcp.listen(0, [:binary, packet: :raw, active: false, ip: {127, 0, 0, 1}, reuseaddr: true])

    {:ok, port} = :inet.port(socket)
    server = self()
    spawn_link(fn -> accept(socket, {dir, authorization}, server) end)
    {:ok, %{port: port, requests: [], socket: socket}}
  end

  @impl true
  def handle_call(:port, _from, state), do: {:reply, state.port, state}
  def handle_call(:requests, _from, state), do: {:reply, Enum.reverse(state.requests), state}

  @impl true
  def handle_info({:request, head}, state), do: {:noreply, %{state | requests: [head | state.requests]}}

  defp accept(listening, what, server) do
    with {:ok, socket} <- :gen_tcp.accept(listening) do
      pid =
        spawn(fn ->
          receive do
            :go -> serve(socket, what, server)
          end
        end)

      :gen_tcp.controlling_process(socket, pid)
      send(pid, :go)
      accept(listening, what, server)
    end
  end

  defp serve(socket, {dir, authorization}, server) do
    with {:ok, head, rest} <- head(socket, "") do
      send(server, {:request, head})
      [request | headers] = String.split(head, "\r\n")
      [_, path | _] = String.split(request, " ")
      headers = Map.new(headers, &header/1)
      body = body(socket, rest, String.to_integer(headers["content-length"] || "0"))
      answer(socket, respond(path, headers["authorization"] == authorization, {dir, body}))
    end

    :gen_tcp.close(socket)
  end

  defp respond("/v2/" <> _, _, _),
    do: {401, "application/json", ~s({"errors":[{"code":"DENIED","message":"not you"}]})}

  defp respond("/repo.git" <> _, false, _), do: {401, "text/plain", "who are you?"}

  defp respond("/repo.git/info/refs" <> _, true, {dir, _}) do
    refs = upload_pack(dir, "--advertise-refs", "")
    {200, "application/x-git-upload-pack-advertisement", "001e# service=git-upload-pack\n0000" <> refs}
  end

  defp respond("/repo.git/git-upload-pack", true, {dir, body}),
    do: {200, "application/x-git-upload-pack-result", upload_pack(dir, "", body)}

  defp respond("/archive" <> _, _, _), do: {200, "application/octet-stream", "no image at all"}
  defp respond(_, _, _), do: {404, "text/plain", "nothing here"}

  # A port cannot close its standard input alone: what is asked lies in a file.
  defp upload_pack(dir, option, input) do
    file = Path.join(System.tmp_dir!(), "harness-git-#{Harness.Agent.unique()}")
    File.write!(file, input)
    command = "exec git upload-pack --stateless-rpc #{option} '#{dir}' < '#{file}'"
    {output, _} = System.cmd("sh", ["-c", command])
    File.rm!(file)
    output
  end

  defp answer(socket, {status, type, body}) do
    ask = if status == 401, do: "www-authenticate: Basic realm=\"harness\"\r\n", else: ""
    length = byte_size(body)

    head =
      "HTTP/1.1 #{status} Said\r\ncontent-type: #{type}\r\ncontent-length: #{length}\r\n#{ask}connection: close\r\n\r\n"

    :gen_tcp.send(socket, [head, body])
  end

  defp head(socket, got) do
    case String.split(got, "\r\n\r\n", parts: 2) do
      [head, rest] ->
        {:ok, head, rest}

      [_] ->
        with {:ok, more} <- :gen_tcp.recv(socket, 0, 10_000), do: head(socket, got <> more)
    end
  end

  defp body(_socket, got, length) when byte_size(got) >= length, do: got

  defp body(socket, got, length) do
    {:ok, more} = :gen_tcp.recv(socket, 0, 10_000)
    body(socket, got <> more, length)
  end

  defp header(line) do
    [name, value] = String.split(line, ":", parts: 2)
    {String.downcase(name), String.trim(value)}
  end
end
